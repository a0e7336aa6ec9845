//! Sensitive actions: those that give or take control over access and keys. Who does one must have
//! shown lately who they are, and a token must have been made for them.

use gate::Fresh;

/// Their names, in all rooms; the gate holds everybody to them ([`gate::Catalogue::sensitive`]).
pub(crate) static SENSITIVE: &[(&str, Fresh)] = &[
    ("account.invite", Fresh::Factor),
    ("account.remove", Fresh::Factor),
    ("account.suspend", Fresh::Factor),
    // Whoever agrees to what another person wants, or says who counts as another.
    ("approval.approve", Fresh::Factor),
    ("approval.set_rule", Fresh::Factor),
    ("audit.erase", Fresh::Factor),
    // Whoever ships the log somewhere else, or nowhere, wants nobody to see what comes next.
    ("auditPlace.create", Fresh::Factor),
    ("auditPlace.remove", Fresh::Factor),
    ("auditPlace.set_credential", Fresh::Factor),
    ("auditPlace.update", Fresh::Factor),
    ("backup.reveal_escrow", Fresh::Factor),
    ("controlPlane.kit", Fresh::Factor),
    // Somebody at a session that was left open must not make it theirs.
    ("factor.enrol", Fresh::Always),
    ("factor.enrol_passkey", Fresh::Always),
    ("factor.register_passkey", Fresh::Always),
    ("factor.remove", Fresh::Always),
    ("factor.reset", Fresh::Factor),
    // Another way in for oneself.
    ("identityLink.begin", Fresh::Always),
    ("identityLink.complete", Fresh::Factor),
    // Whoever names a provider says who comes in, and as what.
    ("identityProvider.confirm_domain", Fresh::Factor),
    ("identityProvider.create", Fresh::Factor),
    ("identityProvider.remove", Fresh::Factor),
    ("identityProvider.set_secret", Fresh::Factor),
    ("identityProvider.update", Fresh::Factor),
    // Wants the present password anyway; where there is none yet, a proof of the last ten minutes.
    ("password.change", Fresh::Factor),
    ("person.link", Fresh::Factor),
    ("person.unlink", Fresh::Factor),
    ("recoveryCode.renew", Fresh::Always),
    ("role.grant", Fresh::Factor),
    ("role.revoke", Fresh::Factor),
    ("serviceAccount.create", Fresh::Factor),
    // The key is shown to whoever makes it.
    ("serviceAccount.create_key", Fresh::Factor),
    ("serviceAccount.rotate_key", Fresh::Factor),
    ("serviceAccount.update", Fresh::Factor),
    ("signInRules.update", Fresh::Factor),
    ("tenant.suspend", Fresh::Factor),
    ("token.create", Fresh::Factor),
];
