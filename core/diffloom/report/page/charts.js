"use strict";
// Draws every chart from the figures beside it, anew whenever its width or what is shown of it changes.
{
  const SVG = "http://www.w3.org/2000/svg";
  const HEIGHT = 240, LEFT = 56, RIGHT = 28, TOP = 8, BOTTOM = 24;
  const [STEP, LOW, MEAN, HIGH, SMOOTH] = [0, 1, 2, 3, 4];

  function element(name, attributes, parent, text) {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    parent.append(made);
    return made;
  }

  function worded(value) {
    if (value === 0) return "0";
    const size = Math.abs(value);
    if (size >= 1e6 || size < 1e-3) return value.toExponential(2).replace(/\.?0+e/, "e").replace("e+", "e");
    return String(Number(value.toPrecision(5)));
  }

  /** Round values that divide a range into about `count` parts. */
  function ticks(low, high, count) {
    const raw = (high - low) / count;
    const ten = 10 ** Math.floor(Math.log10(raw));
    const width = [1, 2, 5, 10].map((n) => n * ten).find((n) => n >= raw);
    const found = [];
    for (let tick = Math.ceil(low / width); tick * width <= high; tick++) found.push(tick * width);
    return found;
  }

  /** Powers of ten between two values; where there are few, their doubles and halves too, or else any round values. */
  function powers(low, high) {
    const found = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++) {
      for (const digit of [1, 2, 5]) found.push(digit * 10 ** power);
    }
    const inside = found.filter((tick) => tick >= low && tick <= high);
    const whole = inside.filter((tick) => /^1(e|0*$|\.?0*e)/.test(tick.toExponential()));
    if (inside.length < 2) return ticks(low, high, 4);
    return whole.length > 3 ? whole : inside;
  }

  class Chart {
    constructor(figure) {
      this.data = JSON.parse(figure.querySelector("script").textContent);
      this.plot = figure.querySelector(".plot");
      this.hidden = new Set();
      this.at = null;
      this.controls(figure);
      this.plot.addEventListener("pointermove", (event) => this.point(event));
      this.plot.addEventListener("pointerdown", (event) => this.point(event));
      this.plot.addEventListener("keydown", (event) => this.key(event));
      new ResizeObserver(() => this.draw()).observe(this.plot);
    }

    controls(figure) {
      const bar = document.createElement("div");
      bar.className = "legend";
      this.data.lines.forEach((line, index) => {
        if (this.data.lines.length === 1) return;
        const button = document.createElement("button");
        const swatch = document.createElement("span");
        swatch.className = `swatch ${line.colour}`;
        button.type = "button";
        button.setAttribute("aria-pressed", "true");
        button.append(swatch, line.name);
        button.addEventListener("click", () => {
          if (!this.hidden.delete(index)) this.hidden.add(index);
          button.setAttribute("aria-pressed", String(!this.hidden.has(index)));
          this.draw();
        });
        bar.append(button);
      });
      this.raw = this.choice(bar, "as logged", this.data.raw);
      const positive = this.data.lines.some((line) => line.points.some((point) => point[MEAN] > 0));
      this.log = positive ? this.choice(bar, "logarithmic", false) : { checked: false };
      this.readout = document.createElement("p");
      this.readout.className = "readout";
      this.readout.setAttribute("aria-live", "polite");
      this.plot.after(bar, this.readout);
    }

    choice(bar, text, checked) {
      const label = document.createElement("label");
      const box = document.createElement("input");
      label.className = "choice";
      box.type = "checkbox";
      box.checked = checked;
      box.addEventListener("change", () => this.draw());
      label.append(box, text);
      bar.append(label);
      return box;
    }

    shown() {
      return this.data.lines.filter((_, index) => !this.hidden.has(index));
    }

    /** The least and the largest value to be drawn; on a logarithmic scale only what is above 0 counts. */
    range(lines) {
      const columns = this.raw.checked ? [LOW, HIGH, SMOOTH] : [SMOOTH];
      const values = lines.flatMap((line) => line.points.flatMap((point) => columns.map((column) => point[column])));
      const drawn = this.log.checked ? values.filter((value) => value > 0) : values;
      let low = Math.min(...drawn), high = Math.max(...drawn);
      if (this.log.checked) return low < high ? [low, high] : [low / 2, low * 2];
      if (low === high) [low, high] = [low - Math.abs(low || 1) / 2, high + Math.abs(high || 1) / 2];
      const margin = (high - low) * 0.04;
      return [low >= 0 ? Math.max(0, low - margin) : low - margin, high + margin];
    }

    draw() {
      const width = this.plot.clientWidth;
      if (width === 0) return;
      this.plot.replaceChildren();
      const svg = element("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, "aria-hidden": "true" }, this.plot);
      const lines = this.shown();
      if (lines.length === 0) return;
      const steps = lines.flatMap((line) => [line.points[0][STEP], line.points.at(-1)[STEP]]);
      const first = Math.min(...steps), last = Math.max(...steps, first + 1);
      const [low, high] = this.range(lines);
      const scale = this.log.checked ? Math.log10 : (value) => value;
      this.x = (step) => LEFT + ((step - first) / (last - first)) * (width - LEFT - RIGHT);
      const y = (value) =>
        HEIGHT - BOTTOM - ((scale(value) - scale(low)) / (scale(high) - scale(low))) * (HEIGHT - TOP - BOTTOM);
      for (const tick of this.log.checked ? powers(low, high) : ticks(low, high, 6)) {
        element("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: y(tick), y2: y(tick) }, svg);
        element("text", { x: LEFT - 6, y: y(tick) + 4, "text-anchor": "end" }, svg, worded(tick));
      }
      for (const tick of ticks(first, last, Math.max(2, width / 110)).filter(Number.isInteger)) {
        element("text", { x: this.x(tick), y: HEIGHT - 6, "text-anchor": "middle" }, svg, tick.toLocaleString("en"));
      }
      for (const mark of this.data.marks) {
        const at = this.x(mark.step);
        const line = element("line", { class: "mark", x1: at, x2: at, y1: TOP, y2: HEIGHT - BOTTOM }, svg);
        element("title", {}, line, `step ${mark.step}: ${mark.cause}`);
      }
      for (const line of lines) this.line(svg, line, y);
      this.cursor = element("line", { class: "cursor", y1: TOP, y2: HEIGHT - BOTTOM, visibility: "hidden" }, svg);
      if (this.at !== null) this.show(this.at);
    }

    line(svg, line, y) {
      const points = this.log.checked ? line.points.filter((point) => point[LOW] > 0 && point[SMOOTH] > 0) : line.points;
      const path = (column) => points.map((point) => `${this.x(point[STEP]).toFixed(1)},${y(point[column]).toFixed(1)}`);
      if (points.length === 0) return;
      if (this.raw.checked) {
        const outline = [...path(HIGH), ...path(LOW).reverse()].join("L");
        if (points.some((point) => point[LOW] !== point[HIGH])) {
          element("path", { class: `spread ${line.colour}`, d: `M${outline}Z` }, svg);
        }
        element("path", { class: `logged ${line.colour}`, d: `M${path(MEAN).join("L")}` }, svg);
      }
      const course = path(SMOOTH);
      element("path", { class: `course ${line.colour}`, d: `M${course.join("L")}${course.length === 1 ? "h4" : ""}` }, svg);
    }

    /** The steps at which any shown line has a point, in order. */
    stops() {
      return [...new Set(this.shown().flatMap((line) => line.points.map((point) => point[STEP])))].sort((a, b) => a - b);
    }

    point(event) {
      if (!this.x || this.shown().length === 0) return;
      const across = event.clientX - this.plot.getBoundingClientRect().left;
      const stops = this.stops();
      this.show(stops.reduce((best, step) =>
        Math.abs(this.x(step) - across) < Math.abs(this.x(best) - across) ? step : best));
    }

    key(event) {
      const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      const stops = this.stops();
      if (move === undefined || stops.length === 0) return;
      event.preventDefault();
      const from = this.at === null ? (move > 0 ? -1 : stops.length) : stops.indexOf(this.at);
      this.show(stops[Math.min(stops.length - 1, Math.max(0, from + move))]);
    }

    show(step) {
      this.at = step;
      this.cursor.setAttribute("x1", this.x(step));
      this.cursor.setAttribute("x2", this.x(step));
      this.cursor.setAttribute("visibility", "visible");
      const told = this.shown().flatMap((line) => {
        const point = line.points.find((candidate) => candidate[STEP] >= step);
        return point ? [`${line.name} ${worded(point[MEAN])}`] : [];
      });
      const causes = this.data.marks.filter((mark) => mark.step === step).map((mark) => mark.cause);
      this.readout.textContent = `step ${step.toLocaleString("en")}: ${[...told, ...causes].join(" · ")}`;
    }
  }

  document.querySelectorAll(".chart").forEach((figure) => new Chart(figure));
}
