// A panel beside the conversation; on a narrow screen a sheet above it. One is open at a time.

const narrow = matchMedia("(max-width: 60rem)");
let current = null;

/** Wraps a <dialog>: `open` remembers the focus, and closing, by its button or Esc, gives it back. */
export class Panel {
  #dialog;
  #opener = null;

  constructor(dialog) {
    this.#dialog = dialog;
    dialog.querySelector(".close").addEventListener("click", () => this.close());
    dialog.addEventListener("cancel", (event) => {
      event.preventDefault();
      this.close();
    });
    // A sheet's backdrop belongs to the dialog: a click on it, and on nothing inside, closes.
    dialog.addEventListener("click", (event) => event.target === dialog && this.close());
  }

  get isOpen() {
    return this.#dialog.open;
  }

  open() {
    const opener = document.activeElement;
    if (current && current !== this) current.close();
    if (!this.isOpen || !this.#dialog.contains(opener)) this.#opener = opener;
    if (!this.isOpen) {
      if (narrow.matches) this.#dialog.showModal();
      else this.#dialog.show();
    }
    document.body.classList.add("with-panel");
    current = this;
    this.#dialog.querySelector("h2").focus({ preventScroll: true });
  }

  close() {
    this.#dialog.close();
    document.body.classList.remove("with-panel");
    current = null;
    this.#opener?.focus();
  }
}

// Only a modal dialog gets the browser's own Esc.
document.addEventListener("keydown", (event) => {
  const modal = document.querySelector("dialog:modal");
  if (event.key !== "Escape" || !current || modal || event.defaultPrevented) return;
  event.preventDefault();
  current.close();
});
narrow.addEventListener("change", () => current?.close());
