// A real OpenID provider on loopback, for the tests of signing in with one. It signs in whom the test names,
// without asking: POST /test {"sub": …, "claims": {…}, "amr": […], "acr": …} says who is next; POST /test/rotate
// signs with a new key from then on. Prints one line of JSON when it answers: {"issuer": …}.
//
// Each provider that is set up has a redirect address of its own, behind the one that is given here.
//
//   node provider.mjs REDIRECT_URI
import http from "node:http";
import { generateKeyPairSync, randomUUID } from "node:crypto";
import { Provider } from "oidc-provider";

// Its notices are not for the test, which reads one line and then no more.
console.info = () => {};
process.stdout.on("error", () => {});

const redirect = process.argv[2] ?? "http://localhost/sign-in/provider";
let person = { sub: "mei", claims: {} };

const fresh = (type, options, alg) => {
    const { privateKey } = generateKeyPairSync(type, options);
    return { ...privateKey.export({ format: "jwk" }), kid: randomUUID(), use: "sig", alg };
};
const keys = () => [fresh("rsa", { modulusLength: 2048 }, "RS256"), fresh("ec", { namedCurve: "P-256" }, "ES256")];

const client = (client_id, id_token_signed_response_alg) => ({
    client_id,
    client_secret: "a secret that the test knows & sends",
    redirect_uris: [redirect],
    grant_types: ["authorization_code"],
    response_types: ["code"],
    id_token_signed_response_alg,
    token_endpoint_auth_method: "client_secret_basic",
});

const made = (issuer) => {
    const provider = new Provider(issuer, {
        jwks: { keys: keys() },
        clients: [client("yunwei", "RS256"), client("yunwei-ec", "ES256")],
        claims: { openid: ["sub", "acr", "amr", "auth_time"], email: ["email", "email_verified"], profile: ["name"], groups: ["groups"] },
        scopes: ["openid", "email", "profile", "groups"],
        pkce: { required: () => true },
        cookies: { keys: ["only for tests"] },
        interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
        features: { devInteractions: { enabled: false } },
        findAccount: (_, sub) => ({ accountId: sub, claims: () => ({ sub, ...person.claims }) }),
        loadExistingGrant: async (ctx) => {
            const grant = new ctx.oidc.provider.Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId });
            grant.addOIDCScope("openid email profile groups");
            await grant.save();
            return grant;
        },
    });
    provider.Client.prototype.redirectUriAllowed = (uri) => uri.startsWith(`${redirect}/idp_`);
    return { provider, answer: provider.callback() };
};

const body = async (request) => {
    let text = "";
    for await (const part of request) text += part;
    return text ? JSON.parse(text) : {};
};

let current;
const server = http.createServer(async (request, response) => {
    try {
        if (request.url === "/test") person = await body(request);
        else if (request.url === "/test/rotate") current = made(issuer);
        else if (request.url.startsWith("/interaction/")) {
            const login = { accountId: person.sub, remember: false, amr: person.amr, acr: person.acr };
            return await current.provider.interactionFinished(request, response, { login }, { mergeWithLastSubmission: false });
        } else return current.answer(request, response);
        response.end("{}");
    } catch (error) {
        response.statusCode = 500;
        response.end(String(error));
    }
});
let issuer;
server.listen(0, "127.0.0.1", () => {
    issuer = `http://127.0.0.1:${server.address().port}`;
    current = made(issuer);
    console.log(JSON.stringify({ issuer }));
});
// It lives as long as the test that started it.
process.stdin.on("end", () => process.exit(0)).resume();
