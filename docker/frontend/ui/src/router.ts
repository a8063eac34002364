// Addresses and the pages behind them.
import { signal } from "@preact/signals";

export type Route =
  | { page: "overview" }
  | { page: "markets" }
  | { page: "signals" }
  | { page: "symbol"; symbol: string }
  | { page: "missing" };

export function parse(path: string): Route {
  const parts = path.split("/").filter(Boolean);
  switch (parts[0]) {
    case undefined:
      return { page: "overview" };
    case "symbols":
      if (parts.length === 1) return { page: "markets" };
      if (parts.length === 2) return { page: "symbol", symbol: decode(parts[1]!) };
      break;
    case "signals":
      if (parts.length === 1) return { page: "signals" };
      break;
  }
  return { page: "missing" };
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export const symbolPath = (symbol: string): string => `/symbols/${encodeURIComponent(symbol)}`;

const here = () => ({ route: parse(location.pathname), query: new URLSearchParams(location.search) });

export const address = signal(typeof location === "undefined" ? { route: parse("/"), query: new URLSearchParams() } : here());

/** Puts filters into the address, so that a reload or a shared link keeps them. */
export function setQuery(changes: Record<string, string>): void {
  const query = new URLSearchParams(address.peek().query);
  for (const [name, value] of Object.entries(changes)) {
    if (value) query.set(name, value);
    else query.delete(name);
  }
  const search = query.toString();
  history.replaceState(null, "", location.pathname + (search ? `?${search}` : ""));
  address.value = here();
}

/** Makes links of this site change the page without loading it again. */
export function startRouter(): void {
  addEventListener("popstate", () => (address.value = here()));
  document.addEventListener("click", (event) => {
    const link = (event.target as Element).closest?.("a");
    const plain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
    if (!link || !plain || event.defaultPrevented || link.target || link.origin !== location.origin || link.hasAttribute("data-external")) return;
    event.preventDefault();
    if (link.href !== location.href) history.pushState(null, "", link.href);
    address.value = here();
    scrollTo(0, 0);
    // The focus goes where a fresh page would put it, so that keyboards and screen
    // readers start at the new content.
    document.querySelector<HTMLElement>("main")?.focus({ preventScroll: true });
  });
}
