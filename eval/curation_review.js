// The page of `pedclip curate review`. Text from reports goes into the page by textContent alone.
"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const REASONS = data.reasons; // [{name, key}]
const studies = data.studies; // sentences: {text, start, end, heading, parts: [numbers], reason}
for (const study of studies) {
  study.accepted = false;
  study.before = JSON.stringify(labelsOf(study));
}
let current = 0; // study
let selected = 0; // sentence
let unsaved = 0; // accepted since the last download

function labelsOf(study) {
  return study.sentences.map((one) => [one.parts, one.reason]);
}

function changed(study) {
  return JSON.stringify(labelsOf(study)) !== study.before;
}

function make(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name.startsWith("aria-")) made.setAttribute(name, String(value));
    else if (value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children); // strings become text
  return made;
}

// Draws all anew; what has the keyboard's focus keeps it.
function show() {
  const study = studies[current];
  const focused = document.activeElement.dataset.key;
  document.getElementById("place").textContent = `Study ${current + 1} of ${studies.length}`;
  const done = studies.filter((one) => one.accepted).length;
  document.getElementById("done").textContent = `${done} accepted, ${studies.filter(changed).length} corrected`;
  const accept = document.getElementById("accept");
  accept.setAttribute("aria-pressed", study.accepted);
  accept.textContent = study.accepted ? "Accepted" : "Accept";
  document.getElementById("about").textContent =
    `${study.study_id}: ${study.engine}${study.fallback ? ", the rules in place of a model" : ""}`;
  document.getElementById("films").replaceChildren(...study.parts.map(filmsOf));
  document.getElementById("sentences").replaceChildren(...study.sentences.map(rowOf));
  document.getElementById("texts").replaceChildren(...study.parts.map((part, number) => textOf(study, part, number)));
  if (focused !== undefined) document.querySelector(`[data-key="${focused}"]`)?.focus();
}

function label(part, number) {
  return make("span", { class: `part p${number % 8}` }, `${number + 1} ${part.name}`);
}

function filmsOf(part, number) {
  const films = part.films.map((source, film) =>
    make("img", { src: source, alt: `film ${film + 1} of ${part.name}`, loading: "lazy" }),
  );
  const expert = part.body_part === null ? "none of the 23" : part.body_part.replaceAll("_", " ");
  const none = films.length ? [] : [make("p", { class: "small" }, "no film to show")];
  return make("figure", {}, make("div", { class: "strip" }, ...films), ...none,
    make("figcaption", {}, label(part, number), ` expert: ${expert}`));
}

function rowOf(sentence, number) {
  const study = studies[current];
  const chips = study.parts.map((part, at) =>
    make("button", {
      type: "button", class: `chip p${at % 8}`, "data-key": `${number} ${at}`, "aria-pressed": sentence.parts.includes(at),
      onclick: (event) => { event.stopPropagation(); selected = number; toggle(at); },
    }, `${at + 1} ${part.name}`),
  );
  const options = REASONS.map((reason) =>
    make("option", { value: reason.name, selected: reason.name === sentence.reason }, reason.name));
  const choose = make("select", {
    "aria-label": "why it belongs to no part", "data-key": `${number} reason`,
    onclick: (event) => event.stopPropagation(),
    onchange: (event) => { selected = number; drop(event.target.value); },
  }, make("option", { value: "", selected: sentence.reason === null, disabled: true }, "no part …"), ...options);
  const marks = sentence.parts.map((at) => `p${at % 8}`).join(" ");
  const text = make("button", {
    type: "button", class: `text ${marks}`, "data-key": `${number} text`, onclick: () => { selected = number; next(); },
  }, sentence.text);
  const classes = [number === selected && "selected", sentence.heading && "heading", sentence.reason && "dropped"];
  return make("li", { class: classes.filter(Boolean).join(" "), "data-sentence": number },
    text, make("div", { class: "labels" }, ...chips, choose));
}

function textOf(study, part, number) {
  const own = study.sentences.filter((one) => one.parts.includes(number)).map((one) => one.text).join(" ");
  return make("section", {}, make("h3", {}, label(part, number)),
    own ? make("p", {}, own) : make("p", { class: "small" }, "nothing: no triplet"));
}

// ---- what a person does

function touch() {
  studies[current].accepted = false;
  show();
}

function toggle(part) {
  const sentence = studies[current].sentences[selected];
  const at = sentence.parts.indexOf(part);
  if (at < 0) sentence.parts = [...sentence.parts, part].sort((one, other) => one - other);
  else sentence.parts = sentence.parts.filter((one) => one !== part);
  sentence.reason = sentence.parts.length ? null : sentence.heading ? "heading" : "unassigned";
  touch();
}

function drop(reason) {
  Object.assign(studies[current].sentences[selected], { parts: [], reason });
  touch();
}

// A click on the words: each part alone, then all together, then none, and from the start.
function next() {
  const study = studies[current];
  const sentence = study.sentences[selected];
  const every = study.parts.map((_, number) => number);
  const states = [...every.map((number) => [number]), ...(every.length > 1 ? [every] : []), []];
  const now = states.findIndex((state) => String(state) === String(sentence.parts));
  sentence.parts = states[(now + 1) % states.length];
  sentence.reason = sentence.parts.length ? null : sentence.heading ? "heading" : "unassigned";
  touch();
}

function go(study) {
  current = Math.min(Math.max(study, 0), studies.length - 1);
  selected = 0;
  show();
  scrollTo(0, 0);
}

function accept() {
  const study = studies[current];
  study.accepted = !study.accepted;
  unsaved += study.accepted ? 1 : -1;
  if (study.accepted && current < studies.length - 1) go(current + 1);
  else show();
}

function select(number) {
  selected = Math.min(Math.max(number, 0), studies[current].sentences.length - 1);
  show();
  document.querySelector(".selected").scrollIntoView({ block: "nearest" });
}

function exported() {
  return studies.filter((one) => one.accepted).map((study) => ({
    study_id: study.study_id,
    patient_id: study.patient_id,
    report: study.report,
    exams: study.parts.map(({ name, body_part, laterality }) => ({ name, body_part, laterality })),
    sentences: study.sentences.map(({ text, start, end, parts, reason }) => ({
      text, start, end, exams: parts, kind: reason === null ? "kept" : reason,
    })),
    reviewed: { corrected: changed(study), engine: study.engine },
  }));
}

function download() {
  const lines = exported().map((study) => JSON.stringify(study) + "\n");
  const address = URL.createObjectURL(new Blob(lines, { type: "application/jsonl" }));
  make("a", { href: address, download: data.export_name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
  unsaved = 0;
}

document.getElementById("accept").addEventListener("click", accept);
document.getElementById("back").addEventListener("click", () => go(current - 1));
document.getElementById("forth").addEventListener("click", () => go(current + 1));
document.getElementById("download").addEventListener("click", download);
addEventListener("beforeunload", (event) => { if (unsaved > 0) event.preventDefault(); });
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "SELECT") return;
  const reason = REASONS.find((one) => one.key === event.key);
  const part = Number(event.key) - 1;
  if (event.key === "ArrowDown" || event.key === "j") select(selected + 1);
  else if (event.key === "ArrowUp" || event.key === "k") select(selected - 1);
  else if (event.key === "ArrowRight" || event.key === "n") go(current + 1);
  else if (event.key === "ArrowLeft" || event.key === "p") go(current - 1);
  else if (event.key === "a") accept();
  else if (event.key === "d") download();
  else if (reason) drop(reason.name);
  else if (part >= 0 && part < studies[current].parts.length) toggle(part);
  else return;
  event.preventDefault();
});
show();
