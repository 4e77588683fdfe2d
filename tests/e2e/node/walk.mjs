// A walk through the dashboard with a real browser.
// Arguments: the base URL, the path of Chromium, a folder for pictures. Ends with status 1 and a sentence on a fault.
import { readFileSync } from "node:fs";
import { chromium } from "playwright-core";

const [base, executablePath, pictures] = process.argv.slice(2);
const patience = 20_000;
const faults = [];

function check(holds, what) {
  if (!holds) throw new Error(what);
}

const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"] });

/** Whether the walk asks for what cannot be, on purpose. */
const isToBeRefused = (url) => url.includes("min_duration=a+while") || url.endsWith("/nowhere");

/** Opens a context whose console, page errors and CSP violations count as faults. */
async function open(options) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, ...options });
  context.setDefaultTimeout(patience);
  const page = await context.newPage();
  page.on("console", (message) => {
    if (isToBeRefused(message.location().url)) return;
    if (["error", "warning"].includes(message.type())) faults.push(`console ${message.type()}: ${message.text()} (${page.url()})`);
  });
  page.on("pageerror", (error) => faults.push(`page error: ${error} (${page.url()})`));
  page.on("response", (response) => {
    if ([400, 404].includes(response.status()) && isToBeRefused(response.url())) return;
    if (response.status() >= 400) faults.push(`status ${response.status()} for ${response.url()}`);
  });
  page.on("request", (request) => {
    const url = new URL(request.url());
    if (url.protocol.startsWith("http") && url.origin !== base) faults.push(`a request leaves the machine: ${request.url()}`);
  });
  await page.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) =>
      console.error(`CSP violation: ${event.violatedDirective} ${event.blockedURI}`));
  });
  return page;
}

async function picture(page, name) {
  await page.screenshot({ path: `${pictures}/${name}.png`, fullPage: true });
}

async function noOverflow(page, where) {
  const [content, window] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
  check(content <= window, `${where} is ${content} px wide in a window of ${window}`);
}

/** Asks for a message; the answer's run, its end, and how to hang up before it. */
async function ask(session, turn, options = {}) {
  const line = new AbortController();
  const response = await fetch(`${base}/v1/messages`, {
    method: "POST",
    signal: line.signal,
    headers: { "content-type": "application/json", "x-api-key": "dummy", "x-claude-code-session-id": session },
    body: JSON.stringify({
      model: "claude-sonnet-5-5", max_tokens: 4000, stream: true, thinking: { type: "adaptive" },
      messages: [{ role: "user", content: `SIM[${JSON.stringify({ turns: [turn] })}]` }], ...options,
    }),
  });
  return { run: response.headers.get("x-dagway-run"), ended: response.text().catch(() => "hung up"), hangUp: () => line.abort() };
}

/** Waits until a run is over. */
async function isOver(run) {
  const patienceEnds = Date.now() + patience;
  while (!(await (await fetch(`${base}/api/runs/${run}`)).json()).run.ended) {
    check(Date.now() < patienceEnds, `the run ${run} ends`);
  }
}

const rows = (page) => page.locator("#rows tr, tbody tr").filter({ has: page.locator('a[href^="/runs/"]') });

async function liveRows() {
  const page = await open();
  await page.goto(`${base}/runs`);
  await rows(page).first().waitFor();
  await page.locator('#live-state[data-state="on"]').waitFor();
  const rowOf = (run) => page.locator("tr").filter({ has: page.locator(`a[href^="/runs/${run}"]`) });
  // It lasts until it has been seen, however slow the machine is.
  const long = await ask("walk-live", { text: "It goes on. ", chunks: 3000, pause_ms: 20 });
  await rowOf(long.run).getByText(/running|streaming/i).first().waitFor();
  await picture(page, "runs-live");
  long.hangUp();
  await rowOf(long.run).getByText(/cancelled/i).first().waitFor();
  const short = await ask("walk-live", { text: "It ends." });
  await short.ended;
  await rowOf(short.run).getByText(/completed/i).first().waitFor();
  check(page.url() === `${base}/runs`, "the list changed without being loaded again");
  const link = rowOf(short.run).getByRole("link", { name: /^claude-sonnet-5-5, Completed, / });
  const shown = await link.locator("time").innerText();
  check((await link.getAttribute("aria-label")) === null && (await link.textContent()).endsWith(shown), "a row is named by what it shows");
  await picture(page, "runs");
  for (const width of [1440, 1269, 1141, 1061, 961, 821, 768]) {
    await page.setViewportSize({ width, height: 900 });
    await noOverflow(page, `the list at ${width} px`);
    const cut = await page.locator("#rows .c-model > bdi.line:first-child").evaluateAll((names) =>
      names.filter((name) => name.scrollWidth > name.clientWidth).map((name) => name.textContent));
    check(cut.length === 0, `the list at ${width} px cuts the names ${JSON.stringify(cut)}`);
  }
  await page.context().close();
}

async function filters() {
  const page = await open();
  await page.goto(`${base}/runs`);
  await page.locator('input[name="model"]').fill("gemini");
  await page.locator('form button[type="submit"]').first().click();
  await page.waitForURL(/model=gemini/);
  const texts = await rows(page).allInnerTexts();
  check(texts.length > 0 && texts.every((text) => text.includes("gemini")), `the filter by model shows ${JSON.stringify(texts)}`);
  await page.goto(`${base}/runs?state=failed`);
  const failed = await rows(page).allInnerTexts();
  check(failed.length > 0 && failed.every((text) => /failed/i.test(text)), `the filter by state shows ${JSON.stringify(failed)}`);
  await picture(page, "runs-failed");
  await page.locator("#matched").getByText(/^(This run|These .+ runs): .*failed · Usage$/).waitFor();
  await page.locator("#matched").getByRole("link", { name: "Usage" }).click();
  await page.waitForURL(/usage\?state=Failed&range=all/);
  await page.getByText("state Failed").waitFor();
  await page.goto(`${base}/runs`);
  const failedChip = page.locator('input[name="state"][value="Failed"]');
  await page.locator("label").filter({ has: failedChip }).click();
  await page.waitForURL(/state=Failed/);
  await page.goBack();
  await rows(page).first().waitFor();
  check(page.url() === `${base}/runs` && !(await failedChip.isChecked()), "who goes back finds the filter as it was");
  await page.locator('input[name="min_duration"]').fill("a while");
  await page.locator('form button[type="submit"]').first().click();
  await page.getByRole("alert").getByText("`a while`").waitFor();
  check((await page.locator('input[name="min_duration"]').inputValue()) === "a while", "what was typed stays to be mended");
  await page.goto(`${base}/runs?min_duration=100h`);
  check((await rows(page).count()) === 0, "no run took 100 hours");
  await page.goto(`${base}/runs?q=there-is-no-such-run`);
  check((await rows(page).count()) === 0, "a search for nothing finds nothing");
  await page.context().close();
}

// By keys alone: a filter that applies itself does not take the focus away, and arrows do not load a page each.
async function filtersByKeys() {
  const page = await open();
  const focused = () => page.evaluate(() => `${document.activeElement.name} ${document.activeElement.value}`);
  const isFocused = async (expected, when) => check((await focused()) === expected, `${when}, ${await focused()} has the focus`);
  await page.goto(base);
  await page.locator('input[name="state"][value="Failed"]').focus();
  await page.keyboard.press("Space");
  await page.waitForURL(/state=Failed/);
  await isFocused("state Failed", "after a chip");
  const order = page.locator('select[name="sort"]');
  await order.focus();
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowDown");
  check((await order.inputValue()) === "cost" && !page.url().includes("sort="), "arrows walk through the choices and load nothing");
  await page.keyboard.press("Enter");
  await page.waitForURL(/sort=cost/);
  await isFocused("sort cost", "after a choice by Enter");
  await page.keyboard.press("ArrowUp");
  await page.keyboard.press("Tab");
  await page.waitForURL(/sort=duration/);
  await isFocused("q ", "after a choice that was left");
  await page.goto(`${base}/usage`);
  await page.locator("#filter select").focus();
  await page.keyboard.press("ArrowDown");
  check(!page.url().includes("range="), "arrows load no other usage");
  await page.keyboard.press("Enter");
  await page.waitForURL(/range=7d/);
  await isFocused("range 7d", "after another time");
  await page.goto(`${base}/runs`);
  await page.locator("label.chip").first().click();
  await page.waitForURL(/state=/);
  check(await page.evaluate(() => document.activeElement === document.body), "a pointer leaves no mark of the focus");
  await page.context().close();
}

async function paging() {
  const page = await open();
  const seen = new Set();
  await page.goto(`${base}/runs?limit=10`);
  for (;;) {
    const links = await rows(page).locator('a[href^="/runs/"]').evaluateAll((anchors) => anchors.map((anchor) => anchor.getAttribute("href")));
    for (const link of new Set(links)) {
      check(!seen.has(link), `${link} is on two pages`);
      seen.add(link);
    }
    const older = page.locator('a[rel="next"]');
    if ((await older.count()) === 0) break;
    const address = new URL(await older.getAttribute("href"), page.url()).href;
    await older.click();
    await page.waitForURL(address);
    await rows(page).first().waitFor();
    check(seen.size < 500, "the pages end");
  }
  const total = (await (await fetch(`${base}/api/runs?limit=200`)).json()).runs.length;
  check(seen.size === total, `${seen.size} runs on the pages, ${total} in the run API`);
  await page.context().close();
}

async function order() {
  const page = await open();
  const lengths = () => page.locator("#rows [data-micros]").evaluateAll((bars) => bars.map((bar) => Number(bar.dataset.micros)));
  await page.goto(`${base}/runs`);
  await page.getByRole("columnheader", { name: "Duration" }).getByRole("link").click();
  await page.waitForURL(/sort=duration/);
  check(await page.locator('select[name="sort"]').inputValue() === "duration", "the menu names the order");
  check(await page.locator('th[aria-sort="descending"]').innerText() === "Duration", "the head is marked");
  const shown = await lengths();
  check(shown.length > 1 && shown.every((length, at) => at === 0 || length <= shown[at - 1]), `the slowest come first: ${shown}`);
  await page.locator('#live-state[data-state="on"]').waitFor();
  const first = await rows(page).first().getAttribute("id");
  const { ended } = await ask("walk-order", { text: "New." });
  await ended;
  await page.locator("#new-runs-text").getByText(/^\d+ new runs?$/).waitFor();
  check(await rows(page).first().getAttribute("id") === first, "what is new does not push away what is read");
  await picture(page, "runs-slowest");
  await page.locator('select[name="sort"]').selectOption("cost");
  await page.waitForURL(/sort=cost/);
  await page.getByRole("columnheader", { name: "Started" }).getByRole("link").click();
  await page.waitForURL(`${base}/runs`);
  await page.context().close();
}

async function runPage(options, name) {
  const { run, ended } = await ask("walk-run", { think: "Let me see.", text: "<script>alert(1)</script> & <b>bold</b>" });
  await ended;
  // A page that is still live may replace what is being clicked.
  await isOver(run);
  const page = await open(options);
  await page.goto(`${base}/runs/${run}`);
  await page.getByRole("heading", { name: /claude-sonnet-5-5/ }).first().waitFor();
  for (const step of ["validate", "map_model", "call_upstream", "convert_response"]) {
    await page.getByText(step).first().waitFor({ state: "attached" });
  }
  check((await page.locator("svg a, svg.graph").count()) > 0, "the graph is drawn");
  check((await page.getByRole("heading", { name: "Timeline" }).count()) > 0, "the timeline is there");
  await picture(page, `run-${name}`);
  await noOverflow(page, `the run page (${name})`);
  await page.locator("svg a").first().click();
  await page.waitForURL((url) => url.href !== `${base}/runs/${run}`);
  await picture(page, `step-${name}`);
  const tabs = page.locator('nav[aria-label="Payloads"] a');
  const count = await tabs.count();
  check(count >= 4, `${count} payloads can be chosen`);
  for (let index = 0; index < count; index += 1) {
    const before = page.url();
    await tabs.nth(index).click();
    await page.locator('nav[aria-label="Payloads"] a').nth(index).and(page.locator('[aria-current="true"]')).waitFor();
    check(index === 0 || page.url() !== before, "each payload has an address");
  }
  const text = await page.locator("main").innerText();
  check(!text.includes("sk-or-test"), "the key is nowhere on the page");
  await picture(page, `payload-${name}`);
  await noOverflow(page, `the payloads (${name})`);
  await page.context().close();
}

// Who chooses a step sees what it is, wherever the panel stands.
async function stepsInSight() {
  const { run, ended } = await ask("walk-steps", { text: "Steps." });
  await ended;
  await isOver(run);
  for (const [width, height] of [[1440, 500], [1024, 800], [390, 800]]) {
    const page = await open({ viewport: { width, height }, reducedMotion: "reduce" });
    const title = page.locator("#run-panel-title");
    const inSight = async () => {
      const { y } = await title.boundingBox();
      return y > 56 && y < height - 100;
    };
    await page.goto(`${base}/runs/${run}`);
    const node = page.locator(".graph a").nth(1);
    await node.evaluate((element) => element.scrollIntoView({ block: "end" }));
    check(!(await inSight()), `a window of ${width} × ${height} px does not show panel and graph`);
    await node.click();
    await page.waitForURL(/step=/);
    check(await inSight(), `the step that a node leads to is in sight at ${width} px`);
    check((await title.getAttribute("aria-live")) === "polite", "the chosen step is told to who does not see it");
    const last = page.locator(".gantt-row").last();
    const name = await last.locator("bdi").innerText();
    await last.scrollIntoViewIfNeeded();
    await last.click();
    await title.getByText(name, { exact: true }).waitFor();
    check(await inSight(), `the step that the last row leads to is in sight at ${width} px`);
    await page.context().close();
  }
}

async function session() {
  const said = [];
  for (const text of ["One.", "Two.", "Three."]) {
    said.push({ role: "user", content: `SIM[${JSON.stringify({ turns: [{ text }, { text }, { text }] })}]` });
    const { run, ended } = await ask("walk-session", {}, { messages: said });
    await ended;
    said.push({ role: "assistant", content: text });
    await isOver(run);
  }
  for (const [width, colorScheme] of [[1440, "light"], [390, "dark"]]) {
    const page = await open({ viewport: { width, height: 900 }, colorScheme });
    await page.goto(`${base}/runs?session=walk-session`);
    const columns = page.locator(".session svg a");
    check((await columns.count()) === 3, `${await columns.count()} turns are drawn`);
    await picture(page, `session-${width}-${colorScheme}`);
    await noOverflow(page, `the session at ${width} px`);
    await columns.last().click();
    await page.waitForURL(/payload=changes/);
    await page.getByText("It goes on where the earlier one ended, with 2 parts more.").waitFor();
    await page.getByText("message 5, user").waitFor();
    await picture(page, `changes-${width}-${colorScheme}`);
    await noOverflow(page, `what changed at ${width} px`);
    const bases = page.locator('nav[aria-label="Compare with"] a');
    check((await bases.count()) === 2, `${await bases.count()} runs can be compared with`);
    await bases.last().click();
    await page.waitForURL(/against=/);
    await page.getByText("with 4 parts more").waitFor();
    await page.context().close();
  }
}

async function failedRun() {
  const page = await open({ timezoneId: "Asia/Kolkata" });
  const { runs } = await (await fetch(`${base}/api/runs?state=failed`)).json();
  check(runs.length > 0, "a run has failed");
  await page.goto(`${base}/runs/${runs[0].id}`);
  await page.getByRole("alert").first().waitFor();
  const title = await page.title();
  check(/^✕ Failed · .+ · \d\d:\d\d:\d\d · Dagway$/.test(title), `the tab of a failed run says ${JSON.stringify(title)}`);
  const told = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium", timeZone: "Asia/Kolkata" }).format(new Date(runs[0].started));
  const exact = page.locator("time.exact");
  check((await exact.innerText()).includes(`${told}.`), `the head tells the reader's time, ${told}: ${await exact.innerText()}`);
  check((await exact.innerText()).endsWith(" +05:30") && (await exact.getAttribute("title")).endsWith(" UTC"), "the head names its zone, its title is in UTC");
  check(title.includes(told), `the tab tells the reader's time, ${told}: ${title}`);
  await page.locator(".gantt-row").nth(1).click();
  await page.waitForURL(/step=/);
  await page.locator(".gantt-row[aria-current]").waitFor();
  check((await page.title()) === title, `the tab says ${JSON.stringify(await page.title())} once a step is chosen`);
  await picture(page, "run-failed");
  await page.context().close();
}

// Where the reader's own colours replace ours, one tab alone is underlined.
async function forcedColours() {
  const { runs } = await (await fetch(`${base}/api/runs?limit=1`)).json();
  for (const colorScheme of ["light", "dark"]) {
    const page = await open({ forcedColors: "active", colorScheme });
    await page.goto(`${base}/runs/${runs[0].id}`);
    for (const place of [".tabs a", ".nav a"]) {
      const lines = await page.locator(place).evaluateAll((links) => {
        const ground = getComputedStyle(document.body).backgroundColor;
        const isSeen = (link) => getComputedStyle(link).borderBottomColor !== ground;
        return links.map((link) => [link.hasAttribute("aria-current"), isSeen(link)]);
      });
      check(lines.some(([current]) => current), `${place} has one that is current`);
      check(lines.every(([current, seen]) => current === seen), `${place} in forced colours, ${colorScheme}: ${JSON.stringify(lines)}`);
    }
    await page.context().close();
  }
}

// What a line or an area says is seen by who sees little contrast, or some colours alike.
async function contrasts() {
  for (const colorScheme of ["light", "dark"]) {
    const page = await open({ colorScheme });
    await page.goto(`${base}/runs`);
    const colours = await page.evaluate(() => {
      const read = (colour) => colour.match(/[\d.]+/g).slice(0, 3).map(Number);
      const ofClass = (name) => {
        const sample = document.body.appendChild(document.createElement("i"));
        sample.className = name;
        return read(getComputedStyle(sample).backgroundColor);
      };
      const field = getComputedStyle(document.getElementById("search"));
      const ground = read(getComputedStyle(document.body).backgroundColor);
      const tokens = ["read", "write", "fresh"].map((name) => ofClass(`token-${name === "fresh" ? name : `cache-${name}`}`));
      return { line: read(field.borderTopColor), inside: read(field.backgroundColor), ground, tokens };
    });
    const light = (rgb) => {
      const [r, g, b] = rgb.map((part) => part / 255).map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const contrast = (one, other) => (Math.max(light(one), light(other)) + 0.05) / (Math.min(light(one), light(other)) + 0.05);
    for (const around of [colours.inside, colours.ground]) {
      check(contrast(colours.line, around) >= 3, `a field's border in ${colorScheme}: ${contrast(colours.line, around)}`);
    }
    const [cached, written, fresh] = colours.tokens;
    check(contrast(cached, fresh) >= 3, `tokens from the cache and new ones in ${colorScheme}: ${contrast(cached, fresh)}`);
    const isGreener = ([, green, blue]) => green > blue;
    check(isGreener(written) && !isGreener(cached) && !isGreener(fresh), `tokens to the cache have a hue of their own in ${colorScheme}`);
    await page.context().close();
  }
}

// No page breaks a rule that a machine can check.
async function rules() {
  const axe = readFileSync(new URL("../node_modules/axe-core/axe.min.js", import.meta.url), "utf8");
  const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
  const { runs } = await (await fetch(`${base}/api/runs?limit=100`)).json();
  const [failed, whole] = ["Failed", "Completed"].map((state) => runs.find((run) => run.state === state).id);
  const paths = ["/runs", "/runs?session=walk-session", "/usage", "/workflows", "/workflows/messages", "/nowhere", `/runs/${failed}`,
    ...["conversation", "changes", "answered"].map((side) => `/runs/${whole}?payload=${side}`)];
  for (const [width, colorScheme] of [[1440, "light"], [390, "dark"]]) {
    const page = await open({ viewport: { width, height: 900 }, colorScheme, reducedMotion: "reduce" });
    for (const path of paths) {
      await page.goto(`${base}${path}`);
      await page.evaluate(axe);
      const broken = await page.evaluate((values) => globalThis.axe.run(document, { runOnly: values }), tags);
      const said = broken.violations.map((rule) => `${rule.id}: ${rule.nodes.slice(0, 3).map((node) => node.html.slice(0, 160)).join(" | ")}`);
      check(said.length === 0, `${path} at ${width} px, ${colorScheme}: ${said.join("; ")}`);
    }
    await page.context().close();
  }
}

async function workflows() {
  const page = await open();
  await page.goto(`${base}/workflows`);
  await page.getByRole("heading", { name: "Workflows" }).waitFor();
  check((await page.locator("svg.graph").count()) >= 2, "each workflow is drawn");
  await picture(page, "workflows");
  await noOverflow(page, "the workflows");
  await page.context().close();
}

async function usage() {
  const page = await open({ timezoneId: "Asia/Kolkata" });
  await page.goto(`${base}/runs`);
  await page.getByRole("link", { name: "by model" }).click();
  await page.getByRole("heading", { name: "Usage" }).waitFor();
  await page.locator("table.usage th", { hasText: "google/gemini-3-pro" }).first().waitFor();
  await picture(page, "usage");
  await noOverflow(page, "the usage");
  await page.getByRole("link", { name: "Session", exact: true }).click();
  await page.waitForURL(/by=session/);
  await page.locator("#filter select").selectOption("1h");
  await page.waitForURL(/range=1h/);
  check(page.url().includes("by=session"), `the grouping stays: ${page.url()}`);
  // A group and a column lead to as many runs as they say.
  const counted = async (text) => {
    const runs = Number((text.match(/\d+/) ?? ["0"])[0]);
    const shown = await page.evaluate(async () => {
      const api = location.pathname.replace("/runs", "/api/runs");
      const answer = await fetch(`${api}${location.search}&limit=200`);
      return (await answer.json()).runs.length;
    });
    check(shown === runs, `${runs} runs were counted, ${shown} are shown at ${page.url()}`);
  };
  const row = page.locator("table.usage tbody tr").filter({ has: page.locator("th a") }).first();
  const said = await row.locator("td").first().innerText();
  await row.locator("th a").click();
  await page.waitForURL(/session=/);
  await counted(said);
  await page.goBack();
  const column = page.locator("svg.columns a").first();
  const title = await column.locator("title").textContent();
  check(/^\d{4}-\d\d-\d\d \d\d:\d\d \(\d\d:\d\d UTC\) · /.test(title), `a column begins with the reader's time: ${title}`);
  await column.focus();
  await page.keyboard.press("Enter");
  await page.waitForURL(/until=/);
  await counted(title.split(" · ")[1]);
  await page.context().close();
}

// On a phone the fields that are wanted less often are folded, and stay open once one is in use.
async function unfolding(page) {
  const model = page.locator('input[name="model"]');
  await page.goto(`${base}/runs`);
  check(!(await model.isVisible()), "the further fields are folded");
  const first = await rows(page).first().boundingBox();
  check(first.y < 640, `the first run is on the first screen, at ${first.y}`);
  await page.locator(".unfold").click();
  await model.fill("gemini");
  await noOverflow(page, "the unfolded filter at 390 px");
  await picture(page, "runs-unfolded-390-dark");
  await page.locator('form button[type="submit"]').first().click();
  await page.waitForURL(/model=gemini/);
  check(await model.isVisible(), "a field in use is shown");
  check(!(await page.locator('input[name="session"]').isVisible()), "the others are folded again");
}

// Under a finger nothing moves: what is new waits until it is asked for.
async function waitingForTouch(page) {
  await page.goto(`${base}/runs`);
  await page.locator('#live-state[data-state="on"]').waitFor();
  const first = page.locator("#rows tr:not([hidden])").first();
  const before = await first.getAttribute("id");
  const { run, ended } = await ask("walk-touch", { text: "New." });
  await ended;
  await page.locator("#new-runs-text").getByText(/^\d+ new runs?$/).waitFor();
  check((await first.getAttribute("id")) === before, "a new run waits where a finger may be on its way to a row");
  await page.locator("#new-runs").tap();
  await page.locator(`#run-${run}`).waitFor();
  check(await page.locator("#new-runs").isHidden(), "nothing waits once it was asked for");
}

// On a sheet of A4 tables stay tables, and what can only be pressed is left out.
async function onPaper() {
  const page = await open({ viewport: { width: 718, height: 1000 } });
  await page.emulateMedia({ media: "print" });
  for (const [path, table] of [["/runs", "table.runs"], ["/usage", "table.usage"]]) {
    await page.goto(`${base}${path}`);
    const display = await page.locator(`${table} tbody tr`).first().evaluate((row) => getComputedStyle(row).display);
    check(display === "table-row", `a row of ${path} on paper is a ${display}`);
    check(await page.locator("#filter").isHidden(), `the filter of ${path} is not printed`);
    await noOverflow(page, `${path} on paper`);
  }
  await page.context().close();
}

// Figures of a narrow usage stand on one line each.
async function narrowUsage(page) {
  await page.goto(`${base}/usage`);
  const broken = await page.locator(".usage-ends span, table.usage td[data-label=Cost]").evaluateAll((boxes) => boxes.filter((box) => {
    const text = document.createRange();
    text.selectNodeContents(box.firstChild);
    return text.getBoundingClientRect().height > 24;
  }).map((box) => box.textContent));
  check(broken.length === 0, `figures of the usage are broken at 320 px: ${JSON.stringify(broken)}`);
}

async function smallAndDark() {
  const small = { viewport: { width: 390, height: 844 }, colorScheme: "dark", isMobile: true, hasTouch: true };
  await runPage(small, "390-dark");
  await runPage({ colorScheme: "dark" }, "dark");
  const page = await open(small);
  for (const [path, name] of [["/runs", "runs"], ["/usage", "usage"], ["/workflows", "workflows"]]) {
    await page.goto(`${base}${path}`);
    await page.locator("main").waitFor();
    await noOverflow(page, `${path} at 390 px`);
    await picture(page, `${name}-390-dark`);
  }
  await unfolding(page);
  await waitingForTouch(page);
  await page.setViewportSize({ width: 320, height: 640 });
  for (const path of ["/runs", "/usage", "/workflows"]) {
    await page.goto(`${base}${path}`);
    await page.locator("main").waitFor();
    await noOverflow(page, `${path} at 320 px`);
  }
  await narrowUsage(page);
  const [ground, ink] = await page.evaluate(() => {
    const style = getComputedStyle(document.body);
    return [style.backgroundColor, style.color];
  });
  const light = (colour) => (colour.match(/[\d.]+/g) ?? []).slice(0, 3).reduce((sum, part) => sum + Number(part), 0);
  check(light(ground) < light(ink), `dark mode has a dark ground: ${ground} under ${ink}`);
  await page.context().close();
}

let status = 0;
for (const step of [liveRows, filters, filtersByKeys, paging, order, () => runPage({}, "light"), stepsInSight, session, failedRun, usage, workflows, forcedColours, contrasts, rules, onPaper, smallAndDark]) {
  try {
    await step();
    console.log("ok:", step.name || "runPage");
  } catch (error) {
    console.error(`FAILED: ${step.name || "runPage"}: ${error.message}`);
    status = 1;
  }
}
await browser.close();
for (const fault of new Set(faults)) {
  console.error(`FAILED: ${fault}`);
  status = 1;
}
if (status === 0) console.log("all checks passed");
process.exit(status);
