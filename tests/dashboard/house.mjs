// The program on a free port with a database of its own, a receiver that does as it
// is told, and a browser.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

const require = createRequire(process.env.CALLBOARD_TEST_MODULES + "/");
const { chromium } = require("playwright-core");
export const axe = require("axe-core").source;

export const TOKEN = "the-operator-of-the-dashboard";
const PROGRAM = new URL("../../target/debug/callboard", import.meta.url).pathname;

/// A receiver. `answer` is called with each request, and returns a status, or an
/// object of status, headers and body.
export class Receiver {
  constructor() {
    this.requests = [];
    this.answer = () => 200;
    this.server = createServer((request, response) => {
      const parts = [];
      request.on("data", part => parts.push(part));
      request.on("end", () => {
        const got = { path: request.url, headers: request.headers, body: Buffer.concat(parts).toString() };
        this.requests.push(got);
        const said = this.answer(got);
        const { status, headers = {}, body = "" } = typeof said === "number" ? { status: said } : said;
        response.writeHead(status, headers).end(body);
      });
    });
  }

  async listen() {
    await new Promise(resolve => this.server.listen(0, "127.0.0.1", resolve));
    this.url = `http://127.0.0.1:${this.server.address().port}`;
    return this;
  }

  close() {
    this.server.closeAllConnections();
    this.server.close();
  }
}

export class House {
  static async start(settings = {}) {
    const house = new House();
    house.folder = mkdtempSync(join(tmpdir(), "callboard-dashboard-"));
    house.child = spawn(PROGRAM, ["serve", "--listen", "127.0.0.1:0"], {
      cwd: house.folder,
      env: { PATH: process.env.PATH, CALLBOARD_ADMIN_TOKEN: TOKEN, CALLBOARD_EGRESS_ALLOW: "127.0.0.0/8", ...settings },
      stdio: ["ignore", "ignore", "pipe"],
    });
    house.log = "";
    house.base = await new Promise((resolve, reject) => {
      house.child.on("exit", code => reject(new Error(`the program ended with ${code}: ${house.log}`)));
      house.child.stderr.on("data", text => {
        house.log += text;
        const address = house.log.match(/listening.*?(127\.0\.0\.1:\d+)/s);
        if (address) resolve(`http://${address[1]}`);
      });
    });
    house.receiver = await new Receiver().listen();
    house.browser = await chromium.launch({
      executablePath: process.env.CALLBOARD_TEST_CHROMIUM || "/usr/bin/chromium",
      args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
    });
    return house;
  }

  /// A browser's window: what goes wrong in it is kept in `page.faults`.
  async window({ js = true, theme = "light", width = 1280, height = 900, locale = "en-GB" } = {}) {
    const context = await this.browser.newContext({
      javaScriptEnabled: js, colorScheme: theme, viewport: { width, height }, locale, baseURL: this.base,
      permissions: js ? ["clipboard-read", "clipboard-write"] : [],
    });
    const page = await context.newPage();
    page.setDefaultTimeout(15_000);
    page.faults = [];
    page.on("pageerror", error => page.faults.push(`${page.url()}: ${error.message}`));
    page.on("console", message => {
      // A page that says 404 or 422 is one that was asked for.
      if (["error", "warning"].includes(message.type()) && !/status of 4\d\d/.test(message.text())) page.faults.push(`${page.url()}: ${message.text()}`);
    });
    return page;
  }

  /// The same, with the operator signed in.
  async operator(options) {
    const page = await this.window(options);
    await page.goto("/dashboard");
    await page.getByLabel("Operator's token").fill(TOKEN);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("heading", { name: "Overview" }).waitFor();
    return page;
  }

  /// Asks the API as the operator, for `tenant`.
  async api(method, path, body, tenant = "default") {
    const answer = await fetch(this.base + path, {
      method,
      headers: { authorization: `Bearer ${TOKEN}`, "callboard-tenant": tenant, ...(body === undefined ? {} : { "content-type": "application/json" }) },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await answer.text();
    const read = text ? JSON.parse(text) : null;
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
    return read;
  }

  async webhook(settings = {}, tenant = "default") {
    return this.api("POST", "/v1/webhooks", { name: "Box office", url: `${this.receiver.url}/hook`, events: ["*"], ...settings }, tenant);
  }

  async publish(type, subject, more = {}, tenant = "default") {
    return this.api("POST", "/v1/events", { type, subject: { id: subject }, ...more }, tenant);
  }

  /// Asks again and again until `look` returns something.
  async until(what, look) {
    for (let left = 300; left > 0; left--) {
      const found = await look();
      if (found) return found;
      await new Promise(resolve => setTimeout(resolve, 50));
    }
    throw new Error(`did not come to pass: ${what}`);
  }

  async end() {
    await this.browser?.close();
    this.receiver?.close();
    if (this.child.exitCode === null) {
      const ended = new Promise(resolve => this.child.once("exit", resolve));
      this.child.kill("SIGTERM");
      await ended;
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}
