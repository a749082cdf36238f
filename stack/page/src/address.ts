// What is shown has an address: /ui/<place>/<id>?<query>. Typing replaces the address, opening adds to the history.
import { computed, signal } from "@preact/signals";

export const ROOT = "/ui/";

export interface Address {
  place: string;
  id: string;
  query: URLSearchParams;
}

/** Parses a path and a query. The id is what follows the place, decoded; it may contain slashes. */
export function parse(path: string, search: string): Address {
  const rest = path.startsWith(ROOT) ? path.slice(ROOT.length) : "";
  const cut = rest.indexOf("/");
  const place = cut < 0 ? rest : rest.slice(0, cut);
  return { place: decoded(place), id: cut < 0 ? "" : decoded(rest.slice(cut + 1)), query: new URLSearchParams(search) };
}

/** The address of a place. Empty values are left out of the query. */
export function href(place: string, id = "", query: Record<string, string> = {}): string {
  const path = id === "" ? place : `${place}/${segments(id)}`;
  return ROOT + path + asQuery(query);
}

/** An id as a part of a path: it may hold slashes. */
export function segments(id: string): string {
  return id.split("/").map(encodeURIComponent).join("/");
}

function asQuery(query: Record<string, string> | URLSearchParams): string {
  const entries = query instanceof URLSearchParams ? [...query] : Object.entries(query);
  const kept = new URLSearchParams(entries.filter(([, value]) => value !== ""));
  const text = kept.toString();
  return text === "" ? "" : `?${text}`;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

const here = () => (typeof location === "undefined" ? parse(ROOT, "") : parse(location.pathname, location.search));

export const address = signal<Address>(here());
export const place = computed(() => address.value.place);
export const id = computed(() => address.value.id);

/** One value of the query, "" where absent, as a signal. */
export function query(name: string) {
  return computed(() => address.value.query.get(name) ?? "");
}

export function open(to: string): void {
  history.pushState(null, "", to);
  address.value = here();
  scrollTo(0, 0);
}

/** Changes values of the query of the present place; "" removes one. */
export function change(values: Record<string, string>, adds = false): void {
  const changed = new URLSearchParams(address.value.query);
  for (const [name, value] of Object.entries(values)) value === "" ? changed.delete(name) : changed.set(name, value);
  const to = location.pathname + asQuery(changed);
  if (to === location.pathname + location.search) return;
  if (adds) history.pushState(null, "", to);
  else history.replaceState(null, "", to);
  address.value = here();
}

/** Follows links within the page without loading it again. */
export function follow(): void {
  addEventListener("popstate", () => {
    address.value = here();
  });
  addEventListener("click", (event) => {
    const link = event.target instanceof Element ? event.target.closest("a") : null;
    if (!link || event.defaultPrevented || event.button !== 0 || link.target || link.hasAttribute("download")) return;
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const to = new URL(link.href);
    if (to.origin !== location.origin || !to.pathname.startsWith(ROOT)) return;
    event.preventDefault();
    open(to.pathname + to.search);
  });
}
