"""The GLSL programs of the head renderer."""

from typing import Final

# mat: 0 skin, 1 eye, 2 wet (teeth, gums, inside of the mouth), 3 hair, 4 sheet (lashes), 5 thing (occluder)
HEAD_VERTEX: Final = """#version 330
in vec3 place; in vec3 normal; in vec2 uv; in float openness; in float inside;
uniform mat4 to_eye, project, to_shadow;
out vec3 eye_place; out vec3 eye_normal; out vec2 tuv; out vec4 shadow_place; out float vao; out float vinside;
out vec3 own_place;
void main() {
  eye_place = (to_eye * vec4(place, 1)).xyz; eye_normal = mat3(to_eye) * normal; tuv = uv; own_place = place;
  shadow_place = to_shadow * vec4(eye_place, 1); vao = openness; vinside = inside;
  gl_Position = project * vec4(eye_place, 1);
}"""

# Skin: wrapped diffuse with a wider wrap in red stands for subsurface scattering; shadow and ambient occlusion are
# tinted red; Blinn highlight times Schlick's Fresnel; bump from the texture's luminance (Mikkelsen 2010).
HEAD_FRAGMENT: Final = """#version 330
in vec3 eye_place; in vec3 eye_normal; in vec2 tuv; in vec4 shadow_place; in float vao; in float vinside;
in vec3 own_place;
uniform sampler2D picture, creases; uniform sampler2DShadow shadows; uniform vec4 crease;
uniform int mat; uniform vec3 tint, key_from, key, fill_from, fill, sky, ground, shirt, skull;
uniform float alpha_low, alpha_high, gloss, bump, collar, shadow_texel, shininess;
layout(location = 0) out vec4 colour; layout(location = 1) out vec4 cover;
float lit() {
  vec3 q = shadow_place.xyz / shadow_place.w * .5 + .5;
  if (q.x < 0. || q.y < 0. || q.x > 1. || q.y > 1.) return 1.;
  float s = 0.;
  for (int i = -1; i <= 1; i++) for (int j = -1; j <= 1; j++)
    s += texture(shadows, vec3(q.xy + vec2(i, j) * shadow_texel, q.z - .004));
  return s / 9.;
}
void main() {
  vec4 t = texture(picture, tuv); float a = 1.;
  if (mat == 1 && t.a < .5) discard;
  if (mat == 3 || mat == 4) { a = t.a; if (a < alpha_low || a > alpha_high) discard; if (alpha_low > .4) a = 1.; }
  vec3 albedo = pow(t.rgb, vec3(2.2)) * tint;
  vec3 n = normalize(eye_normal + vec3(0, 0, 1e-6)), v = normalize(-eye_place);
  if (mat >= 3 && dot(n, v) < 0.) n = -n;
  if (mat == 3) n = normalize(mix(n, normalize(eye_place - skull), .65));
  float cloth = mat == 0 ? smoothstep(.012, -.012,
    own_place.y - collar - .25 * own_place.x * own_place.x - .1 * max(own_place.z, -.8)) : 0.;
  float ao = clamp(vao, 0., 1.);
  if (mat == 0) {
    float deep = crease == vec4(0) ? 0. : min(dot(texture(creases, tuv), crease), 1.);
    albedo *= 1. - .42 * deep * vec3(.85, 1., 1.05);
    float h = dot(t.rgb, vec3(.4, .5, .1)) - .6 * deep; vec3 dx = dFdx(eye_place), dy = dFdy(eye_place);
    vec3 r1 = cross(dy, n), r2 = cross(n, dx); float det = dot(dx, r1);
    n = normalize((abs(det) + 1e-9) * n - bump * sign(det) * (dFdx(h) * r1 + dFdy(h) * r2));
    albedo = mix(albedo, shirt * (.9 + .2 * h), cloth);
  }
  float sh = lit(); if (mat == 2) sh = mix(.5, 1., sh);
  vec3 wrap = vec3(.4); float spec = 0., power = 30.;
  if (mat == 0) { wrap = mix(vec3(.42, .22, .16), vec3(.05), cloth); spec = mix(.32, .02, cloth) * gloss; power = 22.; }
  if (mat == 1) { wrap = vec3(.15); spec = 1.1; power = 220.; }
  if (mat == 2) { wrap = vec3(.3, .2, .2); spec = shininess; power = 70.; }
  if (mat == 3) { wrap = vec3(.25); spec = .14; power = 14.; }
  if (mat == 5) { wrap = vec3(.3, .18, .14); spec = shininess; power = 40.; }
  vec3 aoc = pow(vec3(ao), mat == 0 ? vec3(.75, 1., 1.08) : mat == 2 ? vec3(.8, 1.15, 1.25) : vec3(1.));
  vec3 c = albedo * mix(ground, sky, n.y * .5 + .5) * aoc;
  vec3 shc = mat == 0 ? pow(vec3(sh), vec3(.7, 1., 1.1)) : vec3(sh);
  vec3 d0 = max((vec3(dot(n, key_from)) + wrap) / (1. + wrap), 0.); d0 *= d0 * .3 + .7;
  vec3 d1 = max((vec3(dot(n, fill_from)) + wrap) / (1. + wrap), 0.) * (.4 + .6 * ao);
  c += albedo * (d0 * shc * key * mix(1., ao, .3) + d1 * fill);
  vec3 h0 = normalize(key_from + v), h1 = normalize(fill_from + v);
  float fresnel = .04 + .96 * pow(1. - max(dot(n, v), 0.), 5.);
  c += spec * (mat == 1 ? .35 : .35 + 1.6 * fresnel) * (.3 + .7 * ao) * (
    key * sh * pow(max(dot(n, h0), 0.), power) * max(dot(n, key_from) + .1, 0.)
    + fill * pow(max(dot(n, h1), 0.), power) * max(dot(n, fill_from) + .1, 0.));
  if (mat == 0) c += .25 * fresnel * sky * ao * gloss * (1. - cloth);
  if (mat == 1) { vec3 r = reflect(-v, n); c += .10 * mix(ground, sky, smoothstep(-.1, .6, r.y)) * (.2 + .8 * ao); }
  if (mat == 2) c *= mix(.06, 1., smoothstep(.02, .5, ao));
  float face = mat <= 2 ? (mat == 0 ? smoothstep(-.05, .05, vinside) : 1.) : (alpha_low > .4 || mat == 5 ? 0. : a);
  if (mat <= 2) colour = vec4(c, face); else colour = vec4(c, mat == 5 ? 0. : (alpha_low > .4 ? 0. : a));
  cover = vec4((mat == 3 || mat == 5) ? 1. : 0., 0., 0., a);
}"""

SHADOW_VERTEX: Final = """#version 330
in vec3 place; in vec2 uv; uniform mat4 to_eye, to_shadow; out vec2 tuv;
void main() { tuv = uv; gl_Position = to_shadow * (to_eye * vec4(place, 1)); }"""

SHADOW_FRAGMENT: Final = """#version 330
in vec2 tuv; uniform sampler2D picture; uniform int mat;
void main() { if ((mat == 3 || mat == 4) && texture(picture, tuv).a < .5) discard; }"""

BACK_VERTEX: Final = """#version 330
in vec2 place; out vec2 tuv;
void main() { tuv = place * .5 + .5; gl_Position = vec4(place, .99999, 1); }"""

BACK_FRAGMENT: Final = """#version 330
in vec2 tuv; uniform sampler2D picture;
layout(location = 0) out vec4 colour; layout(location = 1) out vec4 cover;
void main() { colour = vec4(pow(texture(picture, tuv).rgb, vec3(2.2)), 0); cover = vec4(0, 0, 0, 1); }"""
