"use strict";

const PERIOD_MS = 1000, HISTORY = 60, SHOWN = 5;
const byId = (id) => document.getElementById(id);
const articles = new Map(), history = new Map();
let timer = 0, scored = {};
let token = sessionStorage.getItem("token") || "";

function asked(path, options = {}) {
  const headers = { ...(options.headers || {}), ...(token ? { Authorization: `Bearer ${token}` } : {}) };
  return fetch(path, { ...options, headers, cache: "no-store" });
}

const count = (value) => Number(value).toLocaleString("en", { maximumFractionDigits: value < 100 ? 1 : 0 });
const milliseconds = (value) => (value === undefined ? "–" : `${value < 10 ? value.toFixed(2) : value.toFixed(0)} ms`);
const percent = (value) => `${(100 * value).toFixed(1)} %`;

function bytes(value) {
  for (const unit of ["B", "kB", "MB", "GB"]) {
    if (value < 1000) return `${value < 100 && unit !== "B" ? value.toFixed(1) : Math.round(value)} ${unit}`;
    value /= 1000;
  }
  return `${value.toFixed(1)} TB`;
}

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function setState(good, text) {
  byId("state").className = good ? "good" : "bad";
  byId("state-text").textContent = text;
}

function pairs(list, entries) {
  list.replaceChildren(...entries.flatMap(([name, value]) => [element("dt", name), element("dd", value)]));
}

function cardOf(card) {
  const accuracy = Object.entries(card.accuracy).map(
    ([split, [value, low, high]]) => `${split} ${percent(value)} (${percent(low)} to ${percent(high)})`);
  return [
    ["takes", card.input],
    ["enters as", card.codec],
    ["on the link", `${card.at_most ? "at most " : ""}${bytes(card.frame_bytes)} a patch, raw ${bytes(card.raw_bytes)}`],
    ["bits", `${card.weight_bits ?? "–"} of weights, ${card.activation_bits ?? "–"} of activations`],
    ["work", `${count(card.macs / 1e6)} million multiply-accumulates a patch`],
    ["accuracy", accuracy.join("; ") || "not measured"],
    ["classes", card.classes.join(", ")],
  ];
}

function drawLine(svg, values) {
  const most = Math.max(...values, 1);
  const points = values.map((value, index) =>
    `${(240 * (index + HISTORY - values.length)) / (HISTORY - 1)},${38 - (36 * value) / most}`);
  svg.querySelector("polyline").setAttribute("points", points.join(" "));
  svg.setAttribute("aria-label", `patches per second over the last minute, ${count(most)} at most`);
}

function rateOf(key, frames) {
  const past = history.get(key) || { frames, at: performance.now(), rates: [] };
  const now = performance.now(), seconds = (now - past.at) / 1000;
  if (seconds > 0.2) past.rates.push(Math.max(frames - past.frames, 0) / seconds);
  past.rates.splice(0, past.rates.length - HISTORY);
  history.set(key, { frames, at: now, rates: past.rates });
  return past.rates;
}

function showModel(model) {
  const key = `${model.name}/${model.version}`;
  if (!articles.has(key)) {
    const made = byId("model-template").content.cloneNode(true).querySelector("article");
    made.querySelector(".name").textContent = model.name;
    made.querySelector(".version").textContent = `version ${model.version}`;
    articles.set(key, made);
    byId("models").append(made);
  }
  const article = articles.get(key), put = (name, text) => { article.querySelector(name).textContent = text; };
  const pill = article.querySelector(".pill");
  pill.textContent = model.ready ? "ready" : "not ready";
  pill.className = `pill ${model.ready ? "good" : "bad"}`;
  put(".reason", model.reason);
  const rates = rateOf(key, model.frames);
  put(".rate", count(rates.length ? rates[rates.length - 1] : 0));
  put(".requests", count(model.recent.requests_per_s));
  for (const share of ["p50", "p95", "p99"]) put(`.${share}`, milliseconds(model.recent[`${share}_ms`]));
  drawLine(article.querySelector(".line"), rates.length ? rates : [0]);
  const meter = article.querySelector("meter"), queue = model.queue || { frames: 0, most: 1 };
  meter.max = queue.most; meter.high = queue.most * 0.75; meter.value = queue.frames;
  put(".depth", `${count(queue.frames)} of ${count(queue.most)}; so far patches ${count(model.frames)}, requests ${count(model.requests)}, refused ${count(model.refused)}`);
  article.querySelector("tbody").replaceChildren(...(model.devices || []).map((device) => {
    const row = element("tr"), state = element("td", device.serving ? "in service" : `away: ${device.error || ""}`, device.serving ? "" : "error");
    row.append(element("td", device.name), state, ...[count(device.frames), bytes(device.link_bytes), count(device.faults), count(device.resets)].map((text) => element("td", text)));
    return row;
  }));
  if (model.card) pairs(article.querySelector(".card"), cardOf(model.card));
  return key;
}

function showSeen(seen) {
  byId("seen-section").hidden = !seen.length;
  byId("seen").replaceChildren(...seen.map((one) => {
    const item = element("li");
    if (one.image) {
      const image = element("img");
      image.src = one.image;
      image.alt = `a patch classified as ${one.label}`;
      item.append(image);
    }
    item.append(element("strong", one.label), element("div", one.model, "quiet"));
    return item;
  }));
}

function offerModels(models) {
  const fit = models.filter((model) => model.card && model.card.image), select = byId("model");
  const names = fit.map((model) => `${model.name}/${model.version}`);
  byId("classify").hidden = !names.length;
  scored = Object.fromEntries(fit.map((model) => [`${model.name}/${model.version}`, model.card.scores]));
  if ([...select.options].map((option) => option.value).join() === names.join()) return;
  const chosen = select.value;
  select.replaceChildren(...fit.map((model) => {
    const option = element("option", fit.filter((other) => other.name === model.name).length > 1 ? `${model.name}, version ${model.version}` : model.name);
    option.value = `${model.name}/${model.version}`;
    return option;
  }));
  if (names.includes(chosen)) select.value = chosen;
}

function show(status) {
  setState(status.ready, status.ready ? "ready" : "not ready");
  byId("server").textContent = `${status.version}, up ${count(status.uptime_s / 60)} min`;
  const keys = new Set(status.models.map(showModel));
  for (const [key, article] of articles) if (!keys.has(key)) { article.remove(); articles.delete(key); }
  offerModels(status.models);
  showSeen(status.seen);
  byId("power-section").hidden = !status.power;
  if (status.power) {
    const watts = status.power.watts === null ? "not read yet" : `${status.power.watts.toFixed(2)} W`;
    byId("power").textContent = `${watts}, ${count(status.power.joules)} J since the server began (${status.power.meter})`;
  }
}

async function poll() {
  try {
    const reply = await asked("/status");
    byId("token").hidden = reply.status !== 401;
    if (reply.status === 401) setState(false, "asks for a token");
    else if (reply.ok) show(await reply.json());
    else setState(false, (await reply.json()).error);
  } catch {
    setState(false, "no answer");
  }
  clearTimeout(timer);
  timer = setTimeout(poll, document.hidden ? 5 * PERIOD_MS : PERIOD_MS);
}

function requestOf(data, withScores) {
  const outputs = [{ name: "names" }];
  if (withScores) outputs.push({ name: "scores", parameters: { classification: SHOWN } });
  const length = data.byteLength + 4, prefix = new Uint8Array(4);
  new DataView(prefix.buffer).setUint32(0, data.byteLength, true);
  const parameters = { binary_data_size: length, resize: true };
  const inputs = [{ name: "image", shape: [1], datatype: "BYTES", parameters }];
  const header = new TextEncoder().encode(JSON.stringify({ inputs, outputs }));
  return { body: new Blob([header, prefix, data]), length: header.byteLength };
}

async function classify(file) {
  const answer = byId("answer"), [name, version] = byId("model").value.split(/\/(?=[^/]*$)/);
  answer.replaceChildren(element("p", `${file.name}: asking …`, "quiet"));
  try {
    const request = requestOf(await file.arrayBuffer(), scored[byId("model").value]);
    const path = `/v2/models/${encodeURIComponent(name)}/versions/${version}/infer`;
    const started = performance.now();
    const reply = await asked(path, { method: "POST", body: request.body, headers: { "Inference-Header-Content-Length": String(request.length) } });
    const told = await reply.json(), took = performance.now() - started;
    if (!reply.ok) throw new Error(told.error);
    showAnswer(answer, file, told, took);
  } catch (error) {
    answer.replaceChildren(element("p", `${file.name}: ${error.message}`, "error"));
  }
}

function showAnswer(answer, file, told, took) {
  const outputs = Object.fromEntries(told.outputs.map((output) => [output.name, output.data]));
  const list = element("ol"), pair = element("div", undefined, "pair");
  for (const text of outputs.scores || []) {
    const [value, , ...label] = text.split(":"), item = element("li"), bar = element("progress");
    bar.max = 1; bar.value = Number(value); bar.setAttribute("aria-hidden", "true");
    item.append(element("span", label.join(":")), bar, element("span", percent(Number(value))));
    list.append(item);
  }
  if (/\.(jpe?g|png|webp|bmp)$/i.test(file.name)) {
    const image = element("img"), address = URL.createObjectURL(file);
    image.alt = file.name; image.src = address;
    image.onload = () => URL.revokeObjectURL(address);
    pair.append(image);
  }
  pair.append(list);
  answer.replaceChildren(element("p", outputs.names[0], "best"), element("p", `${file.name}, ${took.toFixed(0)} ms`, "quiet"), pair);
}

const drop = byId("drop");
for (const name of ["dragenter", "dragover"]) {
  drop.addEventListener(name, (event) => { event.preventDefault(); drop.classList.add("over"); });
}
for (const name of ["dragleave", "drop"]) drop.addEventListener(name, () => drop.classList.remove("over"));
drop.addEventListener("drop", (event) => {
  event.preventDefault();
  if (event.dataTransfer.files.length) classify(event.dataTransfer.files[0]);
});
byId("file").addEventListener("change", (event) => { if (event.target.files.length) classify(event.target.files[0]); });
byId("token").addEventListener("submit", (event) => {
  event.preventDefault();
  token = byId("token-text").value.trim();
  sessionStorage.setItem("token", token);
  poll();
});
poll();
