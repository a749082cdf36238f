// Numbers, times and sizes as people read them.

/** A duration in milliseconds: 850 µs, 12 ms, 3.42 s, 2 m 5 s, 1 h 4 m. */
export function duration(ms: number): string {
  if (!Number.isFinite(ms)) return "";
  if (ms < 0) return `−${duration(-ms)}`;
  if (ms === 0) return "0 ms";
  if (ms < 1) return `${Math.round(ms * 1000)} µs`;
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const s = ms / 1000;
  if (s < 60) return `${s.toFixed(2)} s`;
  const whole = Math.round(s);
  if (whole < 3600) return `${Math.floor(whole / 60)} m ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} m`;
}

const grouped = new Intl.NumberFormat("en");

export function count(value: number, one: string, many = `${one}s`): string {
  return `${grouped.format(value)} ${value === 1 ? one : many}`;
}

export function number(value: number): string {
  return grouped.format(value);
}

export function bytes(value: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

/** A time of the API as local time to the second: today without its date. "" for what is not a time. */
export function time(text: string | undefined, now = new Date()): string {
  const at = text ? new Date(text) : undefined;
  if (!at || Number.isNaN(at.getTime())) return "";
  const two = (value: number) => String(value).padStart(2, "0");
  const clock = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  if (at.toDateString() === now.toDateString()) return clock;
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${clock}`;
}

/** Milliseconds between two times of the API, which have more digits than a Date. */
export function between(start: string, end: string): number {
  const micros = (text: string) => Number(`0${/\.\d+/.exec(text)?.[0] ?? ""}`) * 1000;
  const whole = (text: string) => Date.parse(text.replace(/\.\d+/, ""));
  return whole(end) - whole(start) + micros(end) - micros(start);
}

/** The text with what would change the direction or hide in it made visible, cut at `most` characters. */
export function oneLine(text: string, most = 300): string {
  const cut = text.length > most ? `${text.slice(0, most)}…` : text;
  return visible(cut).replace(/\s+/g, " ");
}

/** Shows characters that would hide, reorder or overprint others as their code. */
export function visible(text: string): string {
  return text.replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g, (sign) => {
    return `⟨${sign.charCodeAt(0).toString(16).padStart(4, "0")}⟩`;
  });
}
