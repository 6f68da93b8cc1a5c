import { io } from "./vendor/socket.io.esm.min.js";

const state = document.querySelector("#state");
const socket = io({ transports: ["websocket"] });

socket.on("storeUsername", ({ username }) => {
  state.textContent = `You are logged in as ${username}.`;
});
socket.on("disconnect", () => {
  state.textContent = "Connecting …";
});
