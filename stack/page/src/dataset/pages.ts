// Rows that are asked for when they come into sight, a page at a time, and kept.
export class Pages<T> {
  private readonly pages = new Map<number, T[] | "asked">();

  constructor(
    private readonly size: number,
    private readonly ask: (start: number, limit: number) => Promise<T[]>,
    private readonly changed: (problem?: unknown) => void,
  ) {}

  /** The row, or undefined while it is asked for. */
  at(index: number): T | undefined {
    const page = Math.floor(index / this.size);
    const found = this.pages.get(page);
    if (found === undefined) {
      this.pages.set(page, "asked");
      this.ask(page * this.size, this.size).then(
        (rows) => {
          this.pages.set(page, rows);
          this.changed();
        },
        (problem: unknown) => {
          this.pages.delete(page);
          this.changed(problem);
        },
      );
      return undefined;
    }
    return found === "asked" ? undefined : found[index % this.size];
  }
}
