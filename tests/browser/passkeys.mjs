// Passkeys in a real Chromium, with the authenticator that its developer tools play: enrolled, used after
// the password, used alone, refused where nobody was verified or where it was copied, and removed.
//
// Used by portal.mjs; or by itself against a running portal:
//   YUNWEI_PORTAL             address of the portal, http://127.0.0.1:8080; passkeys are tried at localhost
//   YUNWEI_TENANT             somebody's sign-in, "email password", without second factors
//   CHROMIUM                  the browser; /usr/bin/chromium unless said otherwise
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const SIGN_IN = { name: "Sign in", exact: true };

async function authenticator(page, more = {}) {
  const tools = await page.context().newCDPSession(page);
  await tools.send("WebAuthn.enable");
  const options = { protocol: "ctap2", transport: "internal", hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true, ...more };
  const { authenticatorId } = await tools.send("WebAuthn.addVirtualAuthenticator", { options });
  return { tools, authenticatorId };
}

async function signOut(page) {
  await page.context().clearCookies({ name: /yunwei_session/ });
}

async function byPassword(page, site, [email, password]) {
  await page.goto(`${site}/sign-in?lang=en`);
  await page.getByLabel("Email address").fill(email);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", SIGN_IN).click();
}

const inside = (page) => page.waitForURL((url) => !url.pathname.startsWith("/sign-in"));

export async function passkeys({ page, portal, person, hold, look, say }) {
  // Browsers make no passkeys for numbers; the same server is there under its name.
  const site = portal.replace("//127.0.0.1", "//localhost");
  const { tools, authenticatorId } = await authenticator(page);
  await byPassword(page, site, person);
  await inside(page);
  await page.goto(`${site}/account/factors?lang=en`);
  await page.getByRole("button", { name: "Begin Add a passkey or security key" }).click();
  await look(page, "passkey-new");
  await page.getByLabel("Name").fill("Work laptop");
  await page.keyboard.press("Enter");
  await page.locator("ul.codes").waitFor();
  await page.goto(`${site}/account/factors?lang=en`);
  hold(await page.getByRole("row", { name: /Work laptop Passkey/ }).isVisible(), "the passkey is listed by its name");
  await look(page, "factors-passkey");
  // The same authenticator is not enrolled twice.
  await page.getByRole("button", { name: "Begin Add a passkey or security key" }).click();
  await page.getByLabel("Name").fill("Again");
  await page.keyboard.press("Enter");
  await page.getByText("The browser did not finish with the passkey").waitFor();
  say("a passkey was enrolled");

  // After the password.
  await signOut(page);
  await byPassword(page, site, person);
  await page.waitForURL(/\/sign-in\/code/);
  await look(page, "sign-in-code-passkey");
  await page.getByRole("button", { name: "Use a passkey" }).click();
  await inside(page);
  await page.goto(`${site}/account/sessions?lang=en`);
  hold(await page.getByText("Password and passkey").first().isVisible(), "a session says that a passkey came after the password");

  // Alone.
  await signOut(page);
  await page.goto(`${site}/sign-in?lang=en`);
  await look(page, "sign-in-passkey");
  await page.getByRole("button", { name: "Sign in with a passkey" }).click();
  await inside(page);
  await page.goto(`${site}/account/sessions?lang=en`);
  hold(await page.getByText(/Signed in with Passkey/).first().isVisible(), "a session says that a passkey alone opened it");
  say("signed in with a passkey, after the password and alone");

  // Nobody verified: the browser itself gives up.
  await tools.send("WebAuthn.setUserVerified", { authenticatorId, isUserVerified: false });
  await signOut(page);
  await page.goto(`${site}/sign-in?lang=en`);
  await page.getByRole("button", { name: "Sign in with a passkey" }).click();
  await page.getByText("The browser did not finish with the passkey").waitFor();
  await tools.send("WebAuthn.setUserVerified", { authenticatorId, isUserVerified: true });

  // A copy that has counted less far: the server refuses it.
  const { credentials } = await tools.send("WebAuthn.getCredentials", { authenticatorId });
  await tools.send("WebAuthn.removeCredential", { authenticatorId, credentialId: credentials[0].credentialId });
  await tools.send("WebAuthn.addCredential", { authenticatorId, credential: { ...credentials[0], signCount: 0 } });
  await page.getByRole("button", { name: "Sign in with a passkey" }).click();
  await page.getByText("That passkey does not open this").waitFor();
  await tools.send("WebAuthn.removeCredential", { authenticatorId, credentialId: credentials[0].credentialId });
  await tools.send("WebAuthn.addCredential", { authenticatorId, credential: { ...credentials[0], signCount: credentials[0].signCount + 10 } });
  await page.getByRole("button", { name: "Sign in with a passkey" }).click();
  await inside(page);
  say("a copied passkey was refused");

  await page.goto(`${site}/account/factors?lang=en`);
  await page.getByRole("link", { name: "Remove Work laptop" }).click();
  await page.getByRole("button", { name: "Remove" }).click();
  await page.getByText("The second factor has been removed.").waitFor();
  await signOut(page);
  await byPassword(page, site, person);
  await inside(page);
  say("the passkey was removed, and the password alone signs in again");
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const failures = [];
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM || "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"] });
  const page = await (await browser.newContext({ locale: "en-GB" })).newPage();
  page.setDefaultTimeout(20_000);
  const hold = (condition, what) => { if (!condition) { failures.push(what); console.error(`FAILED: ${what}`); } };
  const portal = (process.env.YUNWEI_PORTAL || "http://127.0.0.1:8080").replace(/\/$/, "");
  const shots = process.env.YUNWEI_SHOTS;
  const look = async (_, name) => {
    for (const [width, height] of [[1280, 860], [360, 780]]) {
      await page.setViewportSize({ width, height });
      hold(await page.evaluate(() => document.documentElement.scrollWidth <= document.documentElement.clientWidth), `${name} fits at ${width}`);
      if (shots) await page.screenshot({ path: `${shots}/${name}.${width}.png`, fullPage: true });
    }
    await page.setViewportSize({ width: 1280, height: 860 });
  };
  const [email, ...words] = process.env.YUNWEI_TENANT.split(" ");
  await passkeys({ page, portal, person: [email, words.join(" ")], hold, look, say: console.log });
  await browser.close();
  process.exit(failures.length ? 1 : 0);
}
