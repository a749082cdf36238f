// Server-sent events, as the server writes them (one `id:` line, one `data:` line, comments to keep the connection).
export interface Sent {
  id: string;
  data: string;
}

/** Splits a stream of text into events; what is not complete yet waits for the next piece. */
export class Events {
  private rest = "";
  private id = "";
  private data: string[] = [];

  take(piece: string): Sent[] {
    const found: Sent[] = [];
    const lines = (this.rest + piece).split("\n");
    this.rest = lines.pop() ?? "";
    for (const raw of lines) {
      const line = raw.endsWith("\r") ? raw.slice(0, -1) : raw;
      if (line === "") {
        if (this.data.length > 0) found.push({ id: this.id, data: this.data.join("\n") });
        this.data = [];
      } else if (line.startsWith("id:")) this.id = line.slice(3).trimStart();
      else if (line.startsWith("data:")) this.data.push(line.startsWith("data: ") ? line.slice(6) : line.slice(5));
    }
    return found;
  }
}
