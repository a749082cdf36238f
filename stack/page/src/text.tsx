// Texts of models, tools and people: Markdown becomes elements, never HTML. Long ones are cut, and say so.
import { type Token, type Tokens, lexer } from "marked";
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { number, oneLine, visible } from "./format.ts";

const LONG = 20_000;

export function Markdown({ text }: { text: string }) {
  return <Cut text={text}>{(shown) => <div class="markdown">{blocks(lexer(visible(shown)))}</div>}</Cut>;
}

/** Text as it is, or JSON in order. */
export function Plain({ text }: { text: string }) {
  return <Cut text={text}>{(shown) => <pre class="plain">{visible(shown)}</pre>}</Cut>;
}

/** Names with their values, each as text or JSON. */
export function Fields({ of }: { of: Record<string, unknown> }) {
  return (
    <dl>
      {Object.entries(of).map(([name, value]) => (
        <>
          <dt>{oneLine(name, 200)}</dt>
          <dd>
            <Plain text={typeof value === "string" ? value : JSON.stringify(value, null, 1)} />
          </dd>
        </>
      ))}
    </dl>
  );
}

function Cut({ text, children }: { text: string; children: (shown: string) => ComponentChildren }) {
  const [most, setMost] = useState(LONG);
  if (text.length <= most) return <>{children(text)}</>;
  return (
    <>
      {children(text.slice(0, most))}
      <button type="button" class="quiet" onClick={() => setMost(most * 10)}>
        {number(text.length - most)} more characters
      </button>
    </>
  );
}

function blocks(tokens: Token[]): ComponentChildren {
  return tokens.map(block);
}

function block(token: Token): ComponentChildren {
  switch (token.type) {
    case "space":
    case "def":
      return null;
    case "code":
      return <pre class="code">{(token as Tokens.Code).text}</pre>;
    case "heading":
      return <p class="heading">{inline((token as Tokens.Heading).tokens)}</p>;
    case "hr":
      return <hr />;
    case "blockquote":
      return <blockquote>{blocks((token as Tokens.Blockquote).tokens)}</blockquote>;
    case "list": {
      const list = token as Tokens.List;
      const items = list.items.map((item) => <li>{blocks(item.tokens)}</li>);
      return list.ordered ? <ol start={Number(list.start) || 1}>{items}</ol> : <ul>{items}</ul>;
    }
    case "table": {
      const table = token as Tokens.Table;
      return (
        <table>
          <thead>
            <tr>
              {table.header.map((cell) => (
                <th>{inline(cell.tokens)}</th>
              ))}
            </tr>
          </thead>
          <tbody>
            {table.rows.map((row) => (
              <tr>
                {row.map((cell) => (
                  <td>{inline(cell.tokens)}</td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      );
    }
    case "paragraph":
      return <p>{inline((token as Tokens.Paragraph).tokens)}</p>;
    case "text":
      return (token as Tokens.Text).tokens ? <>{inline((token as Tokens.Text).tokens ?? [])}</> : token.raw;
    default:
      return <p>{token.raw}</p>;
  }
}

function inline(tokens: Token[]): ComponentChildren {
  return tokens.map((token) => {
    switch (token.type) {
      case "strong":
        return <strong>{inline((token as Tokens.Strong).tokens)}</strong>;
      case "em":
        return <em>{inline((token as Tokens.Em).tokens)}</em>;
      case "del":
        return <del>{inline((token as Tokens.Del).tokens)}</del>;
      case "codespan":
        return <code>{(token as Tokens.Codespan).text}</code>;
      case "br":
        return <br />;
      case "escape":
        return (token as Tokens.Escape).text;
      case "link":
        return <Link token={token as Tokens.Link} />;
      case "text":
        return (token as Tokens.Text).tokens ? inline((token as Tokens.Text).tokens ?? []) : (token as Tokens.Text).text;
      default:
        // An image is not loaded, and HTML is text.
        return token.raw;
    }
  });
}

function Link({ token }: { token: Tokens.Link }) {
  if (!/^https?:\/\//i.test(token.href)) return <>{token.raw}</>;
  return (
    <a href={token.href} target="_blank" rel="noopener noreferrer">
      {inline(token.tokens)}
    </a>
  );
}
