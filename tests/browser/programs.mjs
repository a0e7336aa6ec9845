// Service accounts: made, used, looked at in both languages, removed, by keyboard. Identity providers: asked for.
//
// Used by portal.mjs, as somebody who may manage members.

const send = (page, name) => page.getByRole("button", { name, exact: true }).press("Enter");

export async function programs({ page, portal, visit, look, inChinese, hold, say }) {
  await visit(page, "/service-accounts?lang=en", "service-accounts-none");
  await visit(page, "/service-accounts/new", "service-account-new");
  await page.locator("main form button.main").press("Enter");
  await page.locator(".summary").waitFor();
  await look(page, "service-account-wrong");
  await page.locator("[name=name]").fill("Deploy pipeline");
  await page.locator("[name=roles]").first().check();
  await page.locator("main form button.main").press("Enter");
  await page.getByText("No keys yet").waitFor();
  const account = new URL(page.url()).pathname;
  await page.locator("[name=name]").fill("CI server");
  await page.locator("[name=reach]").first().check();
  await page.locator("[name=scopes]").fill("service:read");
  await send(page, "Make a key");
  await page.getByText("Copy the key now").waitFor();
  await look(page, "service-account-key");
  const key = (await page.locator(".secret").innerHTML()).match(/yw[a-z]_[A-Za-z0-9_-]{20,}/)[0];
  const ask = async (path) => (await fetch(portal + path, { headers: { authorization: `Bearer ${key}` } })).status;
  hold(await ask("/tmf-api/serviceInventory/v4/service") === 200, "a key reads what it is for");
  hold(await ask("/tmf-api/productOrderingManagement/v4/productOrder") === 403, "a key reads nothing else");
  await visit(page, account, "service-account");
  await visit(page, `${account}/edit`, "service-account-edit");
  await visit(page, "/service-accounts", "service-accounts");
  await inChinese(page, ["/service-accounts", "/service-accounts/new", account]);
  await visit(page, `${account}/remove?lang=en`, "service-account-remove");
  await page.locator("main button.danger").press("Enter");
  await page.getByText("No service accounts yet").waitFor();
  hold(await ask("/tmf-api/serviceInventory/v4/service") === 401, "the key of an account that was removed is none");
  say("a program got an account and a key for little, and lost both");

  await visit(page, "/identity-providers", "identity-providers-none");
  await visit(page, "/identity-providers/new", "identity-provider-new");
  await page.locator("[name=name]").fill("Example ID");
  await page.locator("[name=issuer]").fill("https://id.example.com");
  await page.locator("[name=client_id]").fill("yunwei");
  await page.locator("main form button.main").press("Enter");
  // It is asked before it is taken; nobody answers at that address.
  await page.getByText("the identity provider cannot be asked").first().waitFor();
  await look(page, "identity-provider-unreachable");
  await visit(page, "/account/providers", "account-providers");
  await inChinese(page, ["/identity-providers", "/identity-providers/new", "/account/providers"]);
  await page.goto(`${portal}/?lang=en`);
  say("an identity provider that nobody reaches is not taken");
}
