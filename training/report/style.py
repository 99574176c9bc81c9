"""The style sheet of the report: colours as variables, so that charts and text follow light and dark."""

CSS = """
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --card: #ffffff; --ink: #16202e; --soft: #5b6778; --line: #dfe4ea; --track: #e8ecf1;
  --accent: #2458d3; --accent-soft: #dbe5fb; --good: #12774a; --good-soft: #ddf3e6; --bad: #b42318;
  --bad-soft: #fde7e4; --quiet: #6b7686; --quiet-soft: #e9edf2; --other: #b26a00;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #0f141b; --card: #171e27; --ink: #e6ebf2; --soft: #9aa7b8; --line: #2a3441; --track: #263140;
    --accent: #7ea6ff; --accent-soft: #1e2f54; --good: #5fd39a; --good-soft: #12352a; --bad: #ff8f83;
    --bad-soft: #43211f; --quiet: #9aa7b8; --quiet-soft: #232d39; --other: #e7b057;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto,
  "Helvetica Neue", sans-serif; font-variant-numeric: tabular-nums; -webkit-text-size-adjust: 100%;
}
main { max-width: 1120px; margin: 0 auto; padding: 28px 20px 60px; }
h1 { font-size: 25px; line-height: 1.2; margin: 0; letter-spacing: -.01em; }
h2 { font-size: 17px; margin: 0 0 2px; letter-spacing: -.005em; }
p { margin: 0; }
code, .mono { font: 12.5px/1.5 ui-monospace, "SF Mono", Menlo, Consolas, "Liberation Mono", monospace; }
.soft { color: var(--soft); }
.small { font-size: 13px; }
header.top { display: flex; flex-wrap: wrap; gap: 10px 24px; align-items: baseline; justify-content: space-between; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 20px; margin-top: 18px; }
.note { color: var(--soft); font-size: 13px; margin: 2px 0 14px; max-width: 84ch; }
.verdict { display: flex; gap: 16px; align-items: flex-start; border-left: 6px solid var(--tone); }
.verdict .sign {
  flex: none; width: 34px; height: 34px; border-radius: 50%; background: var(--tone-soft); color: var(--tone);
  display: grid; place-items: center; font-size: 18px; font-weight: 700;
}
.verdict strong { color: var(--tone); font-size: 18px; display: block; line-height: 1.3; margin-bottom: 3px; }
.register { --tone: var(--good); --tone-soft: var(--good-soft); }
.refuse { --tone: var(--bad); --tone-soft: var(--bad-soft); }
.nothing-new { --tone: var(--quiet); --tone-soft: var(--quiet-soft); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(165px, 1fr)); gap: 12px; margin-top: 18px; }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 14px 16px; }
.tile .label { color: var(--soft); font-size: 13px; }
.tile .figure { font-size: 27px; font-weight: 650; letter-spacing: -.02em; line-height: 1.25; }
.tile .figure small { font-size: 14px; font-weight: 500; color: var(--soft); letter-spacing: 0; margin-left: 3px; }
.scroll { overflow-x: auto; }
.nowrap { white-space: nowrap; }
.grid2 .card > svg { width: 100%; }
table { border-collapse: collapse; width: 100%; }
th { text-align: left; font-weight: 600; font-size: 13px; color: var(--soft); padding: 6px 12px 6px 0; }
th { white-space: nowrap; }
td { padding: 7px 12px 7px 0; border-top: 1px solid var(--line); vertical-align: middle; }
th.number, td.number { text-align: right; white-space: nowrap; }
td.bar { width: 210px; min-width: 150px; }
td.bar svg { display: block; }
.pill { display: inline-block; border-radius: 99px; padding: 1px 9px; font-size: 12.5px; font-weight: 600; }
.pill { white-space: nowrap; }
.pill.yes { color: var(--good); background: var(--good-soft); }
.pill.no { color: var(--bad); background: var(--bad-soft); }
.pill.none { color: var(--quiet); background: var(--quiet-soft); font-weight: 500; }
.grid2 { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr)); gap: 18px; }
.grid2 { margin-top: 18px; }
.grid2 > .card { margin-top: 0; }
svg { max-width: 100%; height: auto; }
svg text { font-family: inherit; font-size: 12px; fill: var(--soft); }
svg text.strong { fill: var(--ink); font-weight: 600; }
table.confusion { width: auto; border-spacing: 4px; border-collapse: separate; margin: 0 auto; }
table.confusion th { text-align: center; padding: 2px 8px; }
table.confusion th.row { text-align: right; }
table.confusion td {
  border: 0; border-radius: 8px; text-align: center; min-width: 116px; padding: 20px 10px; color: var(--ink);
  background: color-mix(in srgb, var(--hue) calc(var(--share) * 62%), var(--track));
}
table.confusion td b { display: block; font-size: 22px; line-height: 1.25; }
table.confusion.many td { min-width: 40px; padding: 5px 4px; font-size: 12.5px; border-radius: 5px; }
table.confusion td.right { --hue: var(--accent); }
table.confusion td.wrong { --hue: var(--bad); }
.mistakes { display: grid; grid-template-columns: repeat(auto-fill, minmax(158px, 1fr)); gap: 14px; }
figure { margin: 0; }
figure .frame {
  background: var(--track); border-radius: 8px; aspect-ratio: 1; display: grid; place-items: center; overflow: hidden;
}
figure img { width: 100%; height: 100%; object-fit: contain; image-rendering: auto; display: block; }
figcaption { font-size: 13px; line-height: 1.4; padding: 7px 1px 0; overflow-wrap: anywhere; }
figcaption b { color: var(--bad); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 5px 18px; margin: 0; }
dt { color: var(--soft); font-size: 13.5px; }
dd { margin: 0; overflow-wrap: anywhere; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 16px; font-size: 13px; color: var(--soft); margin-top: 8px; }
.legend i { display: inline-block; width: 18px; border-top: 3px solid var(--c); }
.legend i { margin-right: 6px; vertical-align: 3px; }
.gap { height: 16px; }
.below { margin-top: 16px; text-align: center; text-wrap: balance; }
@media print { body { background: #fff; } .card, .tile { break-inside: avoid; } }
"""
