(function () {
  const player = new Player(document.getElementById("player"), data.film);
  const lanes = new Lanes(document.getElementById("lanes"), player, data.film.strip);
  const list = document.getElementById("questions"), card = document.getElementById("answer");
  let current = -1;

  function show(number) {
    if (number < 0 || number >= data.questions.length || number === current) return;
    current = number;
    const question = data.questions[number];
    lanes.set(question.lanes);
    [...list.children].forEach((button, at) => {
      button.setAttribute("aria-current", String(at === number));
      if (at === number) button.scrollIntoView({ block: "nearest" });
    });
    const first = question.lanes.find((lane) => lane.kind === "answer").bars[0];
    const answer = make("button", { class: "said", type: "button", disabled: !first, onclick: () => player.playWindow(...first) }, question.said);
    const iou = question.iou === null ? null : make("span", { class: "fact" }, `IoU ${question.iou.toFixed(2)}`);
    const format = make("span", { class: "fact" }, question.follows_format ? "in its format" : "out of its format");
    card.replaceChildren(
      make("h2", {}, question.query),
      make("div", { class: "answer-line" }, answer, iou, format),
      thought(question.pieces, player),
    );
    if (question.note) card.append(make("p", { class: "notice" }, question.note));
    player.seek(first && first[0] < player.duration ? first[0] : 0);
    history.replaceState(null, "", `#${number + 1}`);
  }

  data.questions.forEach((question, number) => {
    list.append(make("button", { type: "button", class: "question", onclick: () => show(number) },
      make("span", { class: "question-text" }, question.query), make("span", { class: "question-said" }, question.said)));
  });
  list.hidden = data.questions.length < 2;
  const move = (by) => { player.stop(); show(current + by); };
  listen(() => player, { n: () => move(1), p: () => move(-1) });
  show(Math.min(Math.max(Number(location.hash.slice(1)) || 1, 1), data.questions.length) - 1);
})();
