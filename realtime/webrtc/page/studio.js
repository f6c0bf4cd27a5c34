// The visitor's own picture: start and stop, the camera, who to become and how it is shown.

import { cameras, demandCamera, openCamera } from "./camera.js";
import { Figures } from "./figures.js";
import { Keeper } from "./keeper.js";
import { Live } from "./live.js";
import { People, called } from "./people.js";
import { Problem, asProblem } from "./problems.js";
import { Share } from "./share.js";
import { Sound } from "./sound.js";
import { Stage, save } from "./stage.js";

export class Studio {
  /** @type {MediaStreamTrack | null} */ #camera = null;
  /** @type {import("./server.js").Settings | null} */ #settings = null;
  #turn = 0; // counts starts and stops: what was begun before the last one is of no use any more

  /** @param {Document} page @param {import("./server.js").Server} server @param {import("./view.js").View} view */
  constructor(page, server, view) {
    this.server = server;
    this.view = view;
    this.stage = new Stage(page);
    this.figures = new Figures(page);
    this.find = (/** @type {string} */ id) => /** @type {any} */ (page.getElementById(id));
    this.people = new People(this.find("people"), server, (identity) => this.#choose({ identity }));
    const say = (/** @type {string} */ words) => this.#say(words);
    this.share = new Share(page, server.token, say);
    this.sound = new Sound(page, async (track) => this.keeper.link?.setSound(track), say);
    /** @type {Keeper<Live>} */
    this.keeper = new Keeper((signal) => this.#open(signal), {
      connecting: (again) => view.tell("connecting", again ? "Connecting again…" : "Connecting…"),
      live: (live) => this.#show(live),
      waiting: (problem, seconds) => this.#wait(problem, seconds),
      ended: (problem) => this.#fail(problem),
    });
    this.#listen();
  }

  /** Asks the server what there is, and says so when the camera cannot be used here. */
  async prepare() {
    try {
      this.#settings = await this.server.settings();
      this.people.show(await this.server.identities());
      this.people.select(this.find("people").querySelector("input")?.value ?? "");
      this.#named();
      demandCamera();
      this.find("start").disabled = false;
      this.view.tell("idle", "Ready");
      await this.#listCameras();
    } catch (error) {
      this.view.problem(asProblem(error), () => void this.prepare());
    }
  }

  async start() {
    this.view.tell("asking", "Waiting for the camera…");
    this.find("stop").focus();
    try {
      if (await this.#useCamera()) this.keeper.start();
    } catch (error) {
      this.#fail(asProblem(error));
    }
  }

  stop() {
    this.#rest();
    this.view.tell("idle", "Ready");
    this.find("start").focus();
  }

  /** Saves the last picture as the server has it: with its label, its marks and its content credentials. */
  async snapshot() {
    const live = this.keeper.link;
    if (!live) return;
    try {
      save(await this.server.snapshot(live.session));
    } catch (error) {
      this.#say(`The picture was not saved: ${asProblem(error).detail || "the server did not give it"}`);
    }
  }

  #listen() {
    this.find("start").addEventListener("click", () => this.start());
    this.find("stop").addEventListener("click", () => this.stop());
    this.find("snapshot").addEventListener("click", () => this.snapshot());
    this.find("camera").addEventListener("change", () => this.#changeCamera());
    this.find("label").addEventListener("change", () => this.#choose({ label: this.find("label").value }));
    this.find("style").addEventListener("change", () => this.#choose({ style: this.find("style").value }));
    this.find("no-face").addEventListener("change", () => this.#choose({ no_face: this.find("no-face").value }));
    navigator.mediaDevices?.addEventListener("devicechange", () => this.#listCameras());
    addEventListener("pagehide", () => this.#rest());
  }

  /** @param {AbortSignal} signal */
  async #open(signal) {
    if (!this.#camera || !this.#settings) throw new Problem("camera-lost");
    const { ice_servers: iceServers, fps } = this.#settings;
    const asked = { server: this.server, iceServers, wish: this.#wish(), fps, camera: this.#camera, sound: this.sound.track };
    return Live.open(asked, signal);
  }

  /** @returns {import("./live.js").Wish} */
  #wish() {
    const [noFace, label, style] = ["no-face", "label", "style"].map((name) => this.find(name).value);
    return { identity: this.people.name, no_face: noFace, label, style };
  }

  /** @param {Live} live */
  #show(live) {
    this.stage.show(live.picture, () => this.view.tell("live", this.#liveWords()));
    this.figures.follow(live.peer, live.control);
    live.control.addEventListener("state", (event) => this.#settle(/** @type {CustomEvent} */ (event).detail));
    live.control.addEventListener("stats", () => this.#tellFaces());
    live.control.addEventListener("refused", (event) => this.#say(/** @type {CustomEvent} */ (event).detail.error));
    this.sound.hear(live.returnedSound);
    this.share.show(live.name);
    if (JSON.stringify(live.wish) !== JSON.stringify(this.#wish())) live.control.set(this.#wish()); // chosen meanwhile
  }

  /** @param {Partial<import("./live.js").Wish>} wish */
  #choose(wish) {
    this.keeper.link?.control.set(wish);
    this.#named();
  }

  /** The server's word on what is shown. @param {import("./control.js").State} state */
  #settle({ identity, no_face: noFace, label, style }) {
    this.people.select(identity);
    this.find("no-face").value = noFace;
    this.find("label").value = label;
    this.find("style").value = style;
    this.#named();
    this.#tellFaces();
  }

  /** Writes the identity's name where it is told. */
  #named() {
    const { identity } = this.people;
    this.find("studio").dataset.label = this.find("label").value;
    if (!identity) return;
    this.find("welcome-name").textContent = called(identity.name);
    const made = identity.kind === "rendered" ? "a rendered person who does not exist" : "a person who has agreed to it";
    this.find("notice").textContent = `${called(identity.name)} is ${made}.`;
  }

  #liveWords() {
    const nobody = this.keeper.link?.control.stats?.faces === 0;
    return nobody ? "Live, but no face is in view" : `Live as ${called(this.people.name)}`;
  }

  #tellFaces() {
    if (this.view.body.dataset.state === "live") this.#say(this.#liveWords());
  }

  /** @param {string} words */
  #say(words) {
    if (this.view.status.textContent !== words) this.view.status.textContent = words;
  }

  /** @param {Problem} problem @param {number} seconds */
  #wait(problem, seconds) {
    this.figures.rest();
    this.share.hide();
    this.view.waiting(problem, seconds, () => this.keeper.tryNow());
  }

  /** @param {Problem} problem */
  #fail(problem) {
    this.#rest();
    this.view.problem(problem, () => this.start());
  }

  #rest() {
    this.#turn += 1;
    this.keeper.stop();
    this.#camera?.stop();
    this.#camera = null;
    this.stage.showOwn(null);
    this.stage.show(null);
    this.figures.rest();
    this.share.hide();
  }

  /** Whether the camera is still wanted once it is open. */
  async #useCamera() {
    const turn = ++this.#turn;
    const camera = await openCamera(this.find("camera").value, this.#settings ?? { width: 1280, height: 720, fps: 30 });
    if (turn !== this.#turn) return camera.stop(), false;
    this.#camera?.stop();
    this.#camera = camera;
    camera.addEventListener("ended", () => camera === this.#camera && this.#fail(new Problem("camera-lost")));
    this.stage.showOwn(camera);
    await this.#listCameras();
    return turn === this.#turn;
  }

  async #changeCamera() {
    if (!this.#camera) return;
    this.#camera.stop(); // some computers open no second camera beside it
    try {
      if ((await this.#useCamera()) && this.#camera) await this.keeper.link?.setCamera(this.#camera);
    } catch (error) {
      this.#fail(asProblem(error));
    }
  }

  async #listCameras() {
    const select = this.find("camera");
    const chosen = this.#camera?.getSettings().deviceId ?? select.value;
    const found = await cameras();
    if (!found.length) return;
    select.replaceChildren(...found.map((device, index) => new Option(device.label || `Camera ${index + 1}`, device.deviceId)));
    if (found.some((device) => device.deviceId === chosen)) select.value = chosen;
  }
}
