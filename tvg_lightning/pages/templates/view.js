"use strict";
// The parts that all pages share: a player, lanes under one time cursor, and texts whose times are links.
// Everything that comes from data is put in as text nodes.

/** An element with attributes, and children that are elements or text. */
function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children) if (child !== null && child !== undefined) element.append(child);
  return element;
}

function clock(seconds) {
  if (seconds < 60) return seconds.toFixed(1);
  const hours = Math.floor(seconds / 3600), minutes = Math.floor((seconds % 3600) / 60);
  const rest = (seconds % 60).toFixed(1).padStart(4, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

/** A video with a clock. Where the browser cannot play it, the clock runs by itself over the frames of the strip. */
class Player {
  constructor(root, film) {
    this.root = root;
    this.film = film;
    this.duration = film.duration_s;
    this.listeners = [];
    this.until = null; // the end of the window that is played once
    this.at = 0;
    this.playing = false;
    this.usable = false; // the video can be played
    this.video = make("video", { playsinline: true, preload: "auto", hidden: true });
    this.canvas = make("canvas", { "aria-label": "Frame of the film strip" });
    this.note = make("div", { class: "player-note", hidden: true });
    this.button = make("button", { class: "play", type: "button", "aria-label": "Play", onclick: () => this.toggle() }, "▶");
    this.label = make("output", { class: "time" });
    this.rate = make("select", { "aria-label": "Speed", onchange: () => { this.video.playbackRate = this.speed; } });
    for (const speed of ["0.25", "0.5", "1", "2"]) this.rate.append(make("option", { value: speed, selected: speed === "1" }, `${speed}×`));
    this.full = make("button", { class: "quiet full", type: "button", title: "Full screen", "aria-label": "Full screen", onclick: () => this.fullscreen() });
    this.screen = make("div", { class: "screen" }, this.canvas, this.video);
    this.screen.addEventListener("click", () => this.toggle());
    root.replaceChildren(this.screen, make("div", { class: "controls" }, this.button, this.label, this.rate, this.full), this.note);
    this.picture = null;
    if (film.strip) {
      this.picture = new Image();
      this.picture.onload = () => this.draw();
      this.picture.src = film.strip.src;
      this.canvas.width = film.strip.width;
      this.canvas.height = film.strip.height;
    } else this.canvas.hidden = true;
    this.video.addEventListener("loadeddata", () => this.take());
    this.video.addEventListener("error", () => this.refuse());
    this.video.addEventListener("ended", () => this.stop());
    this.video.addEventListener("pause", () => { if (this.usable && this.playing) this.stop(); });
    this.video.addEventListener("seeked", () => this.tell());
    if (film.bytes) {
      const bytes = Uint8Array.from(atob(film.bytes), (sign) => sign.charCodeAt(0));
      this.video.src = URL.createObjectURL(new Blob([bytes], { type: film.mime }));
    } else if (film.link) this.video.src = film.link;
    this.tell();
  }

  get speed() { return Number(this.rate.value); }

  /** The video is there: it takes over from the strip. */
  take() {
    if (!this.video.videoWidth) return this.refuse(); // sound without pictures
    this.usable = true;
    this.video.hidden = false;
    this.canvas.hidden = true;
    this.note.hidden = true;
    this.video.currentTime = this.at;
    if (this.playing) this.video.play();
  }

  refuse() {
    this.usable = false;
    this.video.hidden = true;
    this.canvas.hidden = !this.film.strip;
    const words = this.film.inside
      ? `This browser cannot play this video (${this.film.codec}); the frames of the film strip stand in for it.`
      : `The video is not at ${this.film.link}, or this browser cannot play it (${this.film.codec}). Choose the file; until then the frames of the film strip stand in for it. `;
    this.note.replaceChildren(words);
    if (!this.film.inside) {
      const choose = make("input", { type: "file", accept: "video/*", "aria-label": "Choose the video file" });
      choose.addEventListener("change", () => { if (choose.files[0]) this.video.src = URL.createObjectURL(choose.files[0]); });
      this.note.append(choose);
    }
    this.note.hidden = false;
    this.draw();
  }

  get time() { return this.usable && !this.video.seeking ? this.video.currentTime : this.at; }

  seek(seconds) {
    this.at = Math.min(Math.max(seconds, 0), this.duration);
    this.until = null;
    if (this.usable) this.video.currentTime = this.at;
    this.tell();
  }

  play() {
    if (this.playing) return;
    if (this.time >= this.duration - 0.02) this.seek(0);
    this.playing = true;
    this.last = performance.now();
    if (this.usable) this.video.play().catch(() => this.stop());
    requestAnimationFrame((now) => this.tick(now));
    this.tell();
  }

  stop() {
    this.at = this.time;
    this.playing = false;
    this.until = null;
    if (this.usable && !this.video.paused) this.video.pause();
    this.tell();
  }

  toggle() { this.playing ? this.stop() : this.play(); }

  /** Plays a window once, from its start to its end; of an instant the second behind it; goes to the end for one beyond. */
  playWindow(start, end) {
    if (this.playing) this.stop();
    this.seek(start);
    if (start >= this.duration) return; // nothing is there
    this.until = Math.min(end > start ? end : start + 1, this.duration);
    const until = this.until;
    this.play();
    this.until = until;
  }

  tick(now) {
    if (!this.playing) return;
    // a frame's own time may lie a little before play() was called
    if (!this.usable) this.at = Math.min(this.at + (this.speed * Math.max(0, now - this.last)) / 1000, this.duration);
    else if (!this.video.seeking) this.at = this.video.currentTime;
    this.last = now;
    const end = this.until === null ? this.duration : this.until;
    if (this.at >= end && (this.until !== null || !this.usable)) {
      this.stop();
      this.seek(end);
      return;
    }
    this.tell();
    requestAnimationFrame((later) => this.tick(later));
  }

  tell() {
    this.button.textContent = this.playing ? "❚❚" : "▶";
    this.button.setAttribute("aria-label", this.playing ? "Pause" : "Play");
    this.label.textContent = `${clock(this.time)} / ${clock(this.duration)} s`;
    this.root.dataset.time = this.time.toFixed(3);
    this.root.dataset.playing = this.playing;
    if (!this.usable) this.draw();
    for (const listener of this.listeners) listener(this.time);
  }

  draw() {
    const strip = this.film.strip;
    if (!this.picture || !this.picture.complete || !this.picture.naturalWidth) return;
    let frame = 0;
    strip.times_s.forEach((time, number) => { if (time <= this.at + 1e-6) frame = number; });
    const context = this.canvas.getContext("2d");
    context.drawImage(this.picture, frame * strip.width, 0, strip.width, strip.height, 0, 0, strip.width, strip.height);
  }

  fullscreen() { (this.usable ? this.video : this.canvas).requestFullscreen?.(); }
}

/** The colour of an anchor: the earlier the paler. */
function anchorColour(number, total) {
  const share = total < 2 ? 100 : Math.round((100 * number) / (total - 1));
  return `color-mix(in oklab, var(--anchor-last) ${share}%, var(--anchor-first))`;
}

/** Rows over one time axis: strip, truth, anchors, answer; a cursor follows the player, a click seeks. */
class Lanes {
  constructor(root, player, strip) {
    this.root = root;
    this.player = player;
    this.strip = strip;
    this.cursor = make("div", { class: "cursor" });
    player.listeners.push((time) => { this.cursor.style.left = `${(100 * time) / player.duration}%`; });
    this.observer = new ResizeObserver(() => this.place());
    this.observer.observe(root);
  }

  /** ``rows`` as made by pages.pieces.lanes_of; ``onclick`` of a row's name is optional. */
  set(rows) {
    const grid = make("div", { class: "lanes" });
    const layer = make("div", { class: "layer" }), under = make("div", { class: "layer under" });
    const anchors = rows.filter((row) => row.kind === "anchor" && row.anchor !== undefined).length;
    const truth = rows.find((row) => row.kind === "truth");
    for (const [start, end] of truth ? truth.bars : []) {
      const shade = make("div", { class: "shade" });
      this.span(shade, start, end);
      under.append(shade);
    }
    let row = 1;
    const add = (name, track, iou, kind) => {
      const cells = [make("div", { class: "name" }, name), track, make("div", { class: "iou" }, iou)];
      cells.forEach((cell, column) => { cell.style.gridRow = row; cell.style.gridColumn = column + 1; cell.classList.add(kind); });
      grid.append(...cells);
      row += 1;
    };
    const measured = rows.some((lane) => lane.iou !== null && lane.iou !== undefined);
    if (this.strip) add("", this.film(), measured ? "IoU" : "", "film");
    for (const lane of rows) {
      const beyond = lane.bars.filter(([start]) => start >= this.player.duration);
      const notes = [lane.note, ...beyond.map(([start, end]) => `${clock(start)} – ${clock(end)} is after the end`)].filter((words) => words);
      const track = make("div", { class: "track" }, notes.length ? make("span", { class: "lane-note" }, notes.join(", ")) : null);
      for (const [start, end] of lane.bars.filter((bar) => !beyond.includes(bar))) this.bar(track, lane, start, end, anchors);
      add(lane.label ? lane.label : lane.name, track, lane.iou === null || lane.iou === undefined ? "" : lane.iou.toFixed(2), lane.kind);
    }
    add("seconds", this.axis(), "", "axis");
    layer.append(this.cursor);
    for (const one of [under, layer]) one.style.gridRow = `1 / ${row - 1}`;
    grid.append(under, layer);
    grid.addEventListener("pointerdown", (event) => this.drag(event, layer));
    this.root.replaceChildren(grid);
    this.cursor.style.left = `${(100 * this.player.time) / this.player.duration}%`;
    this.place();
  }

  bar(track, lane, start, end, anchors) {
    const words = `${clock(start)} – ${clock(end)}`;
    const bar = make("button", { class: `bar ${lane.kind}`, type: "button", title: `${lane.name}: ${words} s, play`, onclick: () => this.player.playWindow(start, end) });
    this.span(bar, start, end);
    if (lane.kind === "anchor") bar.style.background = anchorColour(lane.anchor ?? 0, anchors);
    const label = make("span", { class: "bar-label" }, words);
    label.dataset.start = Math.min(Math.max(start / this.player.duration, 0), 1);
    label.dataset.end = Math.min(Math.max(end / this.player.duration, 0), 1);
    track.append(bar, label);
  }

  span(element, start, end) {
    const of = this.player.duration;
    const left = Math.min(Math.max(start / of, 0), 1), right = Math.min(Math.max(end / of, 0), 1);
    element.style.left = `${100 * left}%`;
    element.style.width = `${100 * (right - left)}%`;
  }

  /** Labels stand in their bars, or beside them; those that would lie on another bar or label are left out. */
  place() {
    for (const track of this.root.querySelectorAll(".track")) {
      const width = track.clientWidth, labels = [...track.querySelectorAll(".bar-label")];
      const bars = labels.map((label) => [Number(label.dataset.start) * width, Number(label.dataset.end) * width]);
      const taken = [...bars];
      labels.forEach((label, number) => {
        const [start, end] = bars[number];
        label.hidden = false; // or it has no width
        const own = label.offsetWidth;
        const inside = end - start >= own + 10;
        const isFree = (left) => left >= 0 && left + own <= width && taken.every(([from, to]) => left + own <= from || to <= left);
        const left = inside ? (start + end - own) / 2 : [end + 5, start - own - 5].find(isFree);
        label.classList.toggle("inside", inside);
        label.hidden = left === undefined;
        if (left === undefined) return;
        label.style.left = `${left}px`;
        taken.push([left, left + own]);
      });
    }
  }

  film() {
    const { src, num, width, height } = this.strip;
    const track = make("div", { class: "track film" });
    const cells = Math.min(num, this.root.clientWidth < 520 ? 6 : 12);
    for (let cell = 0; cell < cells; cell += 1) {
      const frame = Math.min(num - 1, Math.floor(((cell + 0.5) * num) / cells));
      const picture = make("div", { class: "frame" });
      picture.style.aspectRatio = `${width} / ${height}`;
      picture.style.backgroundImage = `url(${src})`;
      picture.style.backgroundSize = `${100 * num}% 100%`;
      picture.style.backgroundPosition = `${num > 1 ? (100 * frame) / (num - 1) : 0}% 0`;
      track.append(picture);
    }
    return track;
  }

  axis() {
    const track = make("div", { class: "axis-track" });
    const width = this.root.clientWidth, steps = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600];
    const step = steps.find((size) => this.player.duration / size <= Math.max(3, width / 75)) || 7200;
    for (let number = 0; number * step <= this.player.duration; number += 1) {
      const tick = make("span", {}, step < 1 ? (number * step).toFixed(1) : this.player.duration >= 120 ? clock(number * step).replace(/\.0$/, "") : String(number * step));
      tick.style.left = `${(100 * number * step) / this.player.duration}%`;
      track.append(tick);
    }
    return track;
  }

  drag(event, layer) {
    const box = layer.getBoundingClientRect();
    if (event.target.closest("button") || event.clientX < box.left || event.clientX > box.right) return;
    const go = (at) => this.player.seek((this.player.duration * (at.clientX - box.left)) / box.width);
    go(event);
    const end = () => { window.removeEventListener("pointermove", go); window.removeEventListener("pointerup", end); };
    window.addEventListener("pointermove", go);
    window.addEventListener("pointerup", end);
  }
}

/** A text in pieces as made by pages.pieces.pieces_of: each time is a link that plays its window once. */
function thought(pieces, player) {
  const text = make("p", { class: "thought" });
  const anchors = 1 + Math.max(-1, ...pieces.map((piece) => piece.anchor ?? -1));
  for (const piece of pieces) {
    if (piece.tag) text.append(make("span", { class: "tag" }, piece.text));
    else if (!piece.window) text.append(piece.text);
    else {
      const [start, end] = piece.window;
      const link = make("button", { class: `when${piece.answer ? " answer" : piece.anchor !== undefined ? " anchor" : ""}`, type: "button", title: "play this window once", onclick: () => player.playWindow(start, end) }, piece.text);
      if (piece.anchor !== undefined) link.style.setProperty("--own", anchorColour(piece.anchor, anchors));
      text.append(link);
    }
  }
  if (!pieces.length) text.append(make("em", {}, "nothing was written"));
  return text;
}

/** Keys that all pages know; ``more`` maps further keys to functions. */
function listen(currentPlayer, more) {
  const typing = (event) => event.target.closest("input:not([type=range]), select, textarea") || event.ctrlKey || event.metaKey || event.altKey;
  document.addEventListener("keydown", (event) => {
    if (typing(event)) return;
    const player = currentPlayer();
    const step = event.shiftKey ? 0.1 : 1;
    const ranged = event.target.type === "range" && event.key.startsWith("Arrow");
    const actions = {
      " ": () => player && player.toggle(),
      ArrowLeft: () => player && player.seek(player.time - step),
      ArrowRight: () => player && player.seek(player.time + step),
      ...more,
    };
    if (ranged || !(event.key in actions)) return;
    event.preventDefault();
    actions[event.key]();
  });
  // a button that was clicked last is not pressed again by space
  document.addEventListener("keyup", (event) => { if (event.key === " " && !typing(event)) event.preventDefault(); });
}

const data = JSON.parse(document.getElementById("data").textContent);
