// The API key, where the server wants one: kept in this tab until it is closed, and sent as a header only.
const NAME = "replaystack-key";

export function key(): string {
  return typeof sessionStorage === "undefined" ? "" : (sessionStorage.getItem(NAME) ?? "");
}

export function KeyForm() {
  return (
    <form
      class="bar"
      onSubmit={(event) => {
        event.preventDefault();
        const given = new FormData(event.currentTarget).get("key");
        sessionStorage.setItem(NAME, String(given).trim());
        location.reload();
      }}
    >
      <input type="password" name="key" aria-label="API key" placeholder="API key" autocomplete="current-password" required />
      <button type="submit">Use it</button>
    </form>
  );
}
