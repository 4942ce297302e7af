// Turns the sheets of samples into a film: a slider, a button each way, and one that plays.
{
  const FRAMES_A_SECOND = 3;

  function button(text, label, press) {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = text;
    made.setAttribute("aria-label", label);
    made.addEventListener("click", press);
    return made;
  }

  class Film {
    constructor(film) {
      this.frames = [...film.querySelectorAll("figure")];
      this.at = this.frames.length - 1;
      this.timer = null;
      film.classList.add("playing-ready");
      if (this.frames.length === 1) return;
      const bar = document.createElement("div");
      bar.className = "controls";
      this.slider = document.createElement("input");
      this.slider.type = "range";
      this.slider.min = "0";
      this.slider.max = String(this.frames.length - 1);
      this.slider.setAttribute("aria-label", `Samples of ${film.dataset.name}, by step`);
      this.slider.addEventListener("input", () => this.turn(Number(this.slider.value)));
      this.player = button("▶ play", "Play", () => this.play());
      bar.append(
        button("◀", "Previous sheet", () => this.turn(this.at - 1)),
        button("▶", "Next sheet", () => this.turn(this.at + 1)),
        this.player,
        this.slider,
      );
      film.append(bar);
      this.show(this.at);
    }

    /** Show another sheet by hand, which stops the film. */
    turn(index) {
      this.stop();
      this.show(index);
    }

    show(index) {
      this.frames[this.at].classList.remove("shown");
      this.at = (index + this.frames.length) % this.frames.length;
      this.frames[this.at].classList.add("shown");
      this.slider.value = String(this.at);
      this.slider.setAttribute("aria-valuetext", this.frames[this.at].querySelector("figcaption").textContent);
    }

    play() {
      if (this.timer !== null) return this.stop();
      if (this.at === this.frames.length - 1) this.show(0);
      this.player.textContent = "❚❚ stop";
      this.player.setAttribute("aria-label", "Stop");
      this.timer = setInterval(() => {
        this.show(this.at + 1);
        if (this.at === this.frames.length - 1) this.stop();
      }, 1000 / FRAMES_A_SECOND);
    }

    stop() {
      clearInterval(this.timer);
      this.timer = null;
      this.player.textContent = "▶ play";
      this.player.setAttribute("aria-label", "Play");
    }
  }

  document.querySelectorAll(".film").forEach((film) => new Film(film));
}
