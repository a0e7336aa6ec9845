// Why somebody was refused, followed from the refusal itself; who can do something. In both languages, by keyboard.
//
// Used by portal.mjs, as somebody who may manage members and is no operator.

export async function refusals({ page, portal, visit, look, inChinese, hold, say }) {
  // The back office is nobody's but the operator's: its page is refused, and says where to ask why.
  const answer = await page.goto(`${portal}/operator/backups?lang=en`);
  hold(answer.status() === 403, `the back office is refused: ${answer.status()}`);
  await look(page, "refused");
  await page.getByRole("link", { name: "Why was I refused?" }).press("Enter");
  // The entry is written behind the answer.
  for (let n = 0; n < 40 && !(await page.locator("section.refusal").count()); n += 1) {
    await page.waitForTimeout(50);
    await page.reload();
  }
  await page.getByText("What to do next").first().waitFor();
  await look(page, "why");
  hold(await page.getByText("Refused at:").count() > 0, "the gate that refused is named");
  const why = new URL(page.url());
  await inChinese(page, [why.pathname + why.search, "/why", "/who", "/who?action=role.grant"]);
  await visit(page, "/why?lang=en", "why-empty");
  await page.locator("[name=id]").fill("req_nothing_of_that_name");
  await page.locator("[name=id]").press("Enter");
  await page.getByText("there is no refusal of that identifier").waitFor();
  await look(page, "why-none");

  await visit(page, "/members?lang=en", "members-who");
  await page.getByRole("link", { name: "Who can do this?" }).press("Enter");
  await page.locator("select[name=action]").selectOption("role.grant");
  await page.getByRole("button", { name: "Show", exact: true }).press("Enter");
  await page.locator("table.list tbody tr").first().waitFor();
  await look(page, "who");
  const wrong = await page.goto(`${portal}/who?action=service.reboot&on=nothing&lang=en`);
  hold(wrong.status() === 400, `what is no object is refused: ${wrong.status()}`);
  await look(page, "who-wrong-object");
  hold(await page.locator("#f-on-error").count() === 1, "what is no object is said at its field");
  await page.goto(`${portal}/?lang=en`);
  say("a refusal was explained, and who can was shown");
}
