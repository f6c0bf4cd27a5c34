// Where the page begins: builds its objects, for one's own picture or for watching another's.

import { readAddress } from "./address.js";
import { Audience } from "./audience.js";
import { Server } from "./server.js";
import { Studio } from "./studio.js";
import { View } from "./view.js";

const { token, watch } = readAddress(location.hash);
const server = new Server(token);
const view = new View(document);
if (watch) new Audience(document, server, view, watch).start();
else new Studio(document, server, view).prepare();

addEventListener("hashchange", () => location.reload());
