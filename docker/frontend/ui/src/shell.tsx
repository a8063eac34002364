// The frame around every page: navigation, the state of the stream, the theme.
import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { Part } from "./api";
import { address } from "./router";
import { connection, lacks, offered, settings, simulated, status, statusError, watchlistError } from "./store";

const icons = {
  overview: "M4 13h6V4H4v9zm0 7h6v-5H4v5zm10 0h6v-9h-6v9zm0-16v5h6V4h-6z",
  markets: "M4 19V9m5 10V5m5 14v-7m5 7V8",
  signals: "M4 14h4l2.5-8 4 13 2.5-8 1 3h3",
};

// A section is left out when the API is known to lack what it would show.
const sections = [
  { page: "overview", href: "/", name: "Overview", needs: [] as Part[] },
  { page: "markets", href: "/symbols", name: "Markets", needs: ["symbols"] as Part[] },
  { page: "signals", href: "/signals", name: "Signals", needs: ["latest", "active"] as Part[] },
] as const;

export function Shell({ children }: { children: ComponentChildren }) {
  const { page } = address.value.route;
  const current = (s: (typeof sections)[number]) => page === s.page || (page === "symbol" && s.page === "markets");
  const shown = sections.filter((s) => current(s) || !s.needs.some(lacks) || s.needs.some((part) => offered.value.get(part)));
  const problem = status.value && statusError.value ? `What is shown may be old: ${statusError.value.message}` : watchlistError.value;
  return (
    <>
      <a class="skip" href="#main" data-external>
        Skip to the content
      </a>
      <header class="top">
        <a class="brand" href="/">
          <svg viewBox="0 0 32 32" aria-hidden="true">
            <rect width="32" height="32" rx="8" />
            <path d="M5 18h5l3-9 5 14 3-9 1.6 4H27" />
          </svg>
          <span>AlphaPulse</span>
          {settings.environment && <span class="environment">{settings.environment}</span>}
        </a>
        <nav class="sections" aria-label="Sections">
          {shown.map((s) => (
            <a key={s.page} href={s.href} aria-current={current(s) ? "page" : undefined}>
              <svg viewBox="0 0 24 24" class={`icon ${s.page}`} aria-hidden="true">
                <path d={icons[s.page]} />
              </svg>
              {s.name}
            </a>
          ))}
        </nav>
        <div class="tools">
          <Stream />
          {settings.dashboardUrl && (
            <a class="external" href={settings.dashboardUrl} data-external>
              Dashboard
            </a>
          )}
          {settings.grafanaUrl && (
            <a class="external" href={settings.grafanaUrl} data-external>
              Grafana
            </a>
          )}
          <ThemeToggle />
        </div>
      </header>
      <Market />
      {problem && (
        <p class="problem" role="alert">
          {problem}
        </p>
      )}
      <main id="main" tabIndex={-1}>
        {children}
      </main>
      <footer class="bottom">
        {(settings.dashboardUrl || settings.grafanaUrl) && (
          <nav aria-label="Other tools">
            {settings.dashboardUrl && (
              <a href={settings.dashboardUrl} data-external>
                Real-time dashboard
              </a>
            )}
            {settings.grafanaUrl && (
              <a href={settings.grafanaUrl} data-external>
                Grafana
              </a>
            )}
          </nav>
        )}
        <p>
          Charts by{" "}
          <a href="https://www.tradingview.com/" target="_blank" rel="noopener">
            TradingView
          </a>{" "}
          Lightweight Charts™, Copyright © TradingView, Inc. ·{" "}
          <a href="/licenses.txt" data-external>
            Licenses
          </a>
        </p>
      </footer>
    </>
  );
}

/** What the API says of the market, and nothing where it says nothing. */
function Market() {
  if (simulated.value === undefined) return null;
  return simulated.value ? (
    <p class="market simulated" data-testid="market">
      <strong>Simulated market</strong> <span>Prices, signals and PnL are generated. Nothing here is a real quote or advice.</span>
    </p>
  ) : (
    <p class="market" data-testid="market">
      <strong>Real market</strong> <span>The API says that its prices are not simulated.</span>
    </p>
  );
}

const streamStates = {
  connecting: { text: "Connecting", title: undefined },
  live: { text: "Live", title: undefined },
  reconnecting: { text: "Reconnecting", title: "The price stream was lost. It is opened again by itself." },
  silent: { text: "Not live", title: "The API's price stream does not answer. Prices are asked for every few seconds instead." },
};

function Stream() {
  const state = connection.value;
  const { text, title } = streamStates[state];
  return (
    <span class={`stream ${state}`} role="status" data-testid="stream" data-state={state} title={title}>
      {text}
    </span>
  );
}

function ThemeToggle() {
  const root = document.documentElement;
  const [theme, setTheme] = useState(root.dataset.theme);
  useEffect(() => {
    // The system's preference can change while the page is open.
    const observer = new MutationObserver(() => setTheme(root.dataset.theme));
    observer.observe(root, { attributeFilter: ["data-theme"] });
    return () => observer.disconnect();
  }, []);
  const next = theme === "dark" ? "light" : "dark";
  const choose = () => {
    root.dataset.theme = next;
    try {
      localStorage.setItem("theme", next);
    } catch {
      // Without storage the choice lasts as long as the page.
    }
  };
  return (
    <button type="button" class="theme" data-testid="theme" aria-label={`Switch to the ${next} theme`} onClick={choose}>
      <svg viewBox="0 0 24 24" aria-hidden="true">
        {theme === "dark" ? (
          <path d="M12 7.5a4.5 4.5 0 100 9 4.5 4.5 0 000-9zM12 2v2.5M12 19.5V22M4.9 4.9l1.8 1.8M17.3 17.3l1.8 1.8M2 12h2.5M19.5 12H22M4.9 19.1l1.8-1.8M17.3 6.7l1.8-1.8" />
        ) : (
          <path d="M20 14.5A8.5 8.5 0 019.5 4 8.5 8.5 0 1020 14.5z" />
        )}
      </svg>
    </button>
  );
}
