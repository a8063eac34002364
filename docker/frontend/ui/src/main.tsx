import { render } from "preact";
import { useEffect } from "preact/hooks";
import { Markets } from "./markets";
import { Overview } from "./overview";
import { Empty } from "./parts";
import { address, startRouter } from "./router";
import { Shell } from "./shell";
import { Signals } from "./signals";
import { start } from "./store";
import { SymbolPage } from "./symbol";

function App() {
  const { route } = address.value;
  const title = { overview: "Overview", markets: "Markets", signals: "Signals", symbol: route.page === "symbol" ? route.symbol : "", missing: "Not found" }[route.page];
  useEffect(() => {
    document.title = `${title} · AlphaPulse`;
  }, [title]);
  return <Shell>{page()}</Shell>;

  function page() {
    switch (route.page) {
      case "overview":
        return <Overview />;
      case "markets":
        return <Markets />;
      case "signals":
        return <Signals />;
      case "symbol":
        return <SymbolPage key={route.symbol} symbol={route.symbol} />;
      case "missing":
        return (
          <Empty title="There is no such page">
            <a href="/">Go to the overview</a>
          </Empty>
        );
    }
  }
}

const root = document.getElementById("app")!;
start().then(
  () => {
    startRouter();
    render(<App />, root);
  },
  (error: Error) =>
    render(
      <main>
        <Empty title="AlphaPulse could not start">
          Its settings could not be read ({error.message}). <a href="">Try again</a>
        </Empty>
      </main>,
      root,
    ),
);
