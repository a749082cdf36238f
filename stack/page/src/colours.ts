/** The colours of the style as a canvas takes them, by the names of its variables. */
export function coloursOf(element: HTMLElement): (name: string) => string {
  const known = new Map<string, string>();
  return (name) => {
    let colour = known.get(name);
    if (colour === undefined) {
      element.style.color = `var(${name})`;
      colour = getComputedStyle(element).color;
      known.set(name, colour);
    }
    return colour;
  };
}
