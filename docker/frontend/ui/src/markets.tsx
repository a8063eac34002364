import { useState } from "preact/hooks";
import * as format from "./format";
import { Card, Empty, Lacking, LiveChange, Price, Star, SymbolLink, Waiting } from "./parts";
import { useResource } from "./resource";
import { address, setQuery } from "./router";
import { api, lacks, learn, quote } from "./store";

const pageSize = 50;

export function Markets() {
  const { query } = address.value;
  // As it was typed, because to write it otherwise into the field moves the caret.
  const typed = query.get("q") ?? "";
  const search = typed.trim().toUpperCase();
  const sort = query.get("sort") ?? "volume";
  const [shown, setShown] = useState(pageSize);
  const list = useResource(`${sort} ${shown} ${search}`, async (abort) => {
    const page = await api.symbols({ query: search, sort, limit: shown }, abort);
    learn(page.items);
    return page;
  }, 15_000);
  const { data } = list;
  const shows = {
    watch: !lacks("watchlist"),
    change: data?.items.some((q) => q.change_pct != null),
    volume: data?.items.some((q) => q.volume != null),
  };
  if (list.absent) {
    return (
      <>
        <h1>Markets</h1>
        <Lacking what="list of symbols" path="/api/symbols" retry={list.reload} />
      </>
    );
  }
  return (
    <>
      <h1>Markets</h1>
      <form class="filters" role="search" onSubmit={(e) => e.preventDefault()}>
        <label class="grow">
          <span>Symbol</span>
          <input type="search" placeholder="Search" value={typed} onInput={(e) => setQuery({ q: e.currentTarget.value })} autocomplete="off" spellcheck={false} />
        </label>
        <label>
          <span>Order</span>
          <select value={sort} onChange={(e) => setQuery({ sort: e.currentTarget.value })}>
            <option value="volume">Most traded</option>
            <option value="gainers">Top gainers</option>
            <option value="losers">Top losers</option>
            <option value="symbol">Name</option>
          </select>
        </label>
      </form>
      <Card title="All symbols" aside={data && <span class="muted small">{format.count(data.total)} found</span>}>
        {!data && <Waiting of={list} rows={12} />}
        {data?.items.length === 0 && (search ? <Empty title={`No symbol matches “${search}”`}>Try fewer letters.</Empty> : <Empty title="No symbols yet">The engine has not written its first prices. They appear here by themselves.</Empty>)}
        {data && data.items.length > 0 && (
          <table>
            <thead>
              <tr>
                {shows.watch && (
                  <th>
                    <span class="hidden">Watch</span>
                  </th>
                )}
                <th>Symbol</th>
                <th class="number">Price</th>
                {shows.change && <th class="number">24 h</th>}
                {shows.volume && <th class="number roomy">Volume</th>}
              </tr>
            </thead>
            <tbody>
              {data.items.map(({ symbol }) => (
                <tr key={symbol}>
                  {shows.watch && (
                    <td class="tight">
                      <Star symbol={symbol} />
                    </td>
                  )}
                  <td>
                    <SymbolLink symbol={symbol} />
                  </td>
                  <td class="number">
                    <Price symbol={symbol} />
                  </td>
                  {shows.change && (
                    <td class="number">
                      <LiveChange symbol={symbol} />
                    </td>
                  )}
                  {shows.volume && (
                    <td class="number roomy muted">
                      <Volume symbol={symbol} />
                    </td>
                  )}
                </tr>
              ))}
            </tbody>
          </table>
        )}
        {data && data.total > data.items.length && (
          <p class="center">
            <button type="button" class="button" onClick={() => setShown(shown + pageSize)}>
              Show more
            </button>
          </p>
        )}
      </Card>
    </>
  );
}

function Volume({ symbol }: { symbol: string }) {
  const value = quote(symbol).value?.volume;
  return <>{value == null ? "–" : format.compact(value)}</>;
}
