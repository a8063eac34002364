// The frame around every page: navigation, the state of the stream, the theme.
import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { address } from "./router";
import { connection, settings, statusError, watchlistError } from "./store";

const icons = {
  overview: "M4 13h6V4H4v9zm0 7h6v-5H4v5zm10 0h6v-9h-6v9zm0-16v5h6V4h-6z",
  markets: "M4 19V9m5 10V5m5 14v-7m5 7V8",
  signals: "M4 14h4l2.5-8 4 13 2.5-8 1 3h3",
};

const sections = [
  { page: "overview", href: "/", name: "Overview" },
  { page: "markets", href: "/symbols", name: "Markets" },
  { page: "signals", href: "/signals", name: "Signals" },
] as const;

export function Shell({ children }: { children: ComponentChildren }) {
  const { page } = address.value.route;
  const problem = statusError.value ? `What is shown may be old: ${statusError.value}` : watchlistError.value;
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
          {sections.map((s) => (
            <a key={s.page} href={s.href} aria-current={page === s.page || (page === "symbol" && s.page === "markets") ? "page" : undefined}>
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
      <p class="simulated" data-testid="simulated">
        <strong>Simulated market</strong> <span>Prices, signals and PnL are generated. Nothing here is a real quote or advice.</span>
      </p>
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

function Stream() {
  const state = connection.value;
  const text = { connecting: "Connecting", live: "Live", reconnecting: "Reconnecting" }[state];
  return (
    <span class={`stream ${state}`} role="status" data-testid="stream" data-state={state}>
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
