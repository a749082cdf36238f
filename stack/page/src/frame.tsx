// The frame around all places: navigation, title, connection.
import type { ComponentChildren } from "preact";
import { href, place } from "./address.ts";
import type { HttpError } from "./http.ts";
import { KeyForm } from "./key.tsx";
import { state } from "./live.ts";

export const PLACES = [
  ["sessions", "Sessions"],
  ["traces", "Traces"],
  ["evals", "Evals"],
  ["datasets", "Datasets"],
  ["sql", "SQL"],
  ["events", "Events"],
  ["health", "Health"],
] as const;

export function Frame({ children }: { children: ComponentChildren }) {
  return (
    <>
      <a class="skip" href="#content">
        To the content
      </a>
      <header class="top">
        <nav aria-label="Places">
          <a class="brand" href={href("sessions")}>
            Replaystack
          </a>
          {PLACES.map(([name, title]) => (
            <a href={href(name)} aria-current={place.value === name ? "page" : undefined}>
              {title}
            </a>
          ))}
          <a class="quiet" href="/schema">
            API
          </a>
        </nav>
        <Connection />
      </header>
      <main id="content" tabIndex={-1}>
        {children}
      </main>
    </>
  );
}

const STATES = {
  off: "",
  connecting: "connecting",
  live: "live",
  waiting: "connection lost; trying again",
};

function Connection() {
  return (
    <span class={`connection ${state.value}`} role="status">
      {STATES[state.value]}
    </span>
  );
}

/** The head of a place: its title and what belongs to it. */
export function Head({ title, children }: { title: string; children?: ComponentChildren }) {
  document.title = `${title} · Replaystack`;
  return (
    <div class="head">
      <h1>{title}</h1>
      {children}
    </div>
  );
}

/** Why there is nothing to see, or what is not up to date. */
export function Problem({ error, again }: { error: HttpError; again?: () => void }) {
  return (
    <div class="problem" role="alert">
      {error.message}
      {(error.status === 401 || error.status === 403) && <KeyForm />}
      {again && (
        <button type="button" class="quiet" onClick={again}>
          Try again
        </button>
      )}
    </div>
  );
}

export function Empty({ children }: { children: ComponentChildren }) {
  return <p class="empty">{children}</p>;
}

export function Status({ name, title }: { name: string; title?: string }) {
  return <span class={`status ${name}`} title={title}>{name.replace("_", " ")}</span>;
}
