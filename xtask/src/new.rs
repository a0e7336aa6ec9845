//! Lays the rooms of a new capability, so that every folder begins alike.

use std::path::Path;
use std::{fs, io};

const ROOMS: [(&str, &str); 6] = [
    (
        "mod.rs",
        "//! What CAPABILITY are, in a sentence.\n//!\n//! States: …\n//!\n//! Invariants, each with the constraint or test that holds it: …\n//!\n//! Not here: …\n\nmod actions;\nmod rules;\nmod store;\n#[cfg(test)]\nmod tests;\nmod types;\n",
    ),
    ("types.rs", "//! Nouns: one struct each, the same for row, value and JSON.\n"),
    ("rules.rs", "//! Pure functions: no SQL, no clock.\n"),
    ("store.rs", "//! Every SQL statement of CAPABILITY; takes `&mut Tx`.\n"),
    ("actions.rs", "//! The use cases as values.\n"),
    ("tests.rs", "//! Rules as tables and properties; actions on a real database.\n"),
];

/// Writes the folder `crates/ROOM/src/CAPABILITY`.
pub fn lay(root: &Path, room: &str, capability: &str) -> io::Result<()> {
    let crate_folder = root.join("crates").join(room).join("src");
    if !crate_folder.is_dir() {
        return Err(io::Error::new(io::ErrorKind::NotFound, format!("there is no crate {room}")));
    }
    let folder = crate_folder.join(capability);
    fs::create_dir(&folder)?;
    for (file, text) in ROOMS {
        fs::write(folder.join(file), text.replace("CAPABILITY", capability))?;
    }
    println!(
        "laid {}; now: a line in {room}/src/lib.rs, a migration, a row in server/src/routes.rs, a page",
        folder.display()
    );
    Ok(())
}
