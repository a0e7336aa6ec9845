//! A small ISO 9660 image with Joliet names: the form in which a guest finds its seed.
//!
//! Written here rather than by a tool, because a seed is three small files in one directory and a host
//! should need nothing more for it. ECMA-119 for the layout; the Joliet descriptor carries the names
//! as they are (`user-data`), the primary one in upper case, as Linux shows them in lower case again.

const SECTOR: usize = 2048;
/// Sectors before the volume descriptors, left empty.
const SYSTEM_AREA: usize = 16;

/// Writes an image with these files in its root directory. Names are plain ASCII, at most 30 characters.
pub fn image(label: &str, files: &[(&str, &[u8])]) -> Vec<u8> {
    let layout = Layout::new(files);
    let mut out = vec![0; SYSTEM_AREA * SECTOR];
    out.extend(descriptor(1, label, &layout, false));
    out.extend(descriptor(2, label, &layout, true));
    out.extend(terminator());
    for joliet in [false, true] {
        out.extend(path_table(layout.root(joliet), true));
        out.extend(path_table(layout.root(joliet), false));
    }
    out.extend(directory(&layout, files, false));
    out.extend(directory(&layout, files, true));
    for (_, bytes) in files {
        out.extend_from_slice(bytes);
        pad(&mut out);
    }
    out
}

/// Where everything lies, in sectors.
struct Layout {
    files: Vec<usize>,
    total: usize,
}

impl Layout {
    const TABLES: usize = SYSTEM_AREA + 3;

    fn new(files: &[(&str, &[u8])]) -> Self {
        // Two path tables for each descriptor, then the two directories, then the files.
        let mut next = Self::TABLES + 4 + 2;
        let mut starts = Vec::new();
        for (_, bytes) in files {
            starts.push(next);
            next += bytes.len().div_ceil(SECTOR);
        }
        Self { files: starts, total: next }
    }

    fn root(&self, joliet: bool) -> usize {
        Self::TABLES + 4 + usize::from(joliet)
    }

    fn path_table(&self, joliet: bool) -> usize {
        Self::TABLES + 2 * usize::from(joliet)
    }
}

fn descriptor(kind: u8, label: &str, layout: &Layout, joliet: bool) -> Vec<u8> {
    let mut out = vec![kind];
    out.extend(b"CD001");
    out.extend([1, 0]);
    out.extend(text("LINUX", 32, joliet));
    out.extend(text(label, 32, joliet));
    out.extend([0; 8]);
    out.extend(both32(layout.total));
    let mut escapes = [0; 32];
    if joliet {
        escapes[..3].copy_from_slice(b"%/E");
    }
    out.extend(escapes);
    out.extend(both16(1));
    out.extend(both16(1));
    out.extend(both16(SECTOR));
    out.extend(both32(10));
    let table = layout.path_table(joliet);
    out.extend(u32le(table));
    out.extend(u32le(0));
    out.extend(u32be(table + 1));
    out.extend(u32be(0));
    out.extend(entry(&[0], layout.root(joliet), SECTOR, true));
    for length in [128, 128, 128, 128] {
        out.extend(text("", length, joliet));
    }
    for length in [37, 37, 37] {
        out.extend(text("", length, joliet));
    }
    // No dates: sixteen zeros and a zone, four times.
    for _ in 0..4 {
        out.extend([b'0'; 16]);
        out.push(0);
    }
    out.extend([1, 0]);
    pad(&mut out);
    out
}

fn terminator() -> Vec<u8> {
    let mut out = vec![255];
    out.extend(b"CD001");
    out.push(1);
    pad(&mut out);
    out
}

/// The table of the one directory there is.
fn path_table(root: usize, little: bool) -> Vec<u8> {
    let mut out = vec![1, 0];
    out.extend(if little { u32le(root) } else { u32be(root) });
    out.extend(if little { [1, 0] } else { [0, 1] });
    out.extend([0, 0]);
    pad(&mut out);
    out
}

fn directory(layout: &Layout, files: &[(&str, &[u8])], joliet: bool) -> Vec<u8> {
    let root = layout.root(joliet);
    let mut out = entry(&[0], root, SECTOR, true);
    out.extend(entry(&[1], root, SECTOR, true));
    let mut entries: Vec<(Vec<u8>, usize, usize)> = files
        .iter()
        .zip(&layout.files)
        .map(|((name, bytes), start)| {
            let name = if joliet { wide(name) } else { format!("{};1", name.to_ascii_uppercase()).into_bytes() };
            (name, *start, bytes.len())
        })
        .collect();
    entries.sort();
    for (name, start, length) in entries {
        out.extend(entry(&name, start, length, false));
    }
    pad(&mut out);
    out
}

/// One directory record.
fn entry(name: &[u8], start: usize, length: usize, directory: bool) -> Vec<u8> {
    let mut out = vec![0, 0];
    out.extend(both32(start));
    out.extend(both32(length));
    // 1 January 2020, midnight, UTC: a seed's content is its identity, not its date.
    out.extend([120, 1, 1, 0, 0, 0, 0]);
    out.push(if directory { 2 } else { 0 });
    out.extend([0, 0]);
    out.extend(both16(1));
    out.push(u8::try_from(name.len()).unwrap_or(0));
    out.extend_from_slice(name);
    if out.len() % 2 == 1 {
        out.push(0);
    }
    if let (Ok(length), Some(first)) = (u8::try_from(out.len()), out.first_mut()) {
        *first = length;
    }
    out
}

fn wide(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_be_bytes).collect()
}

/// A text field, filled with blanks.
fn text(value: &str, length: usize, joliet: bool) -> Vec<u8> {
    let mut out = if joliet { wide(value) } else { value.as_bytes().to_vec() };
    while out.len() < length {
        if joliet && out.len() + 1 < length {
            out.push(0);
        }
        out.push(b' ');
    }
    out.truncate(length);
    out
}

fn pad(out: &mut Vec<u8>) {
    let length = out.len().div_ceil(SECTOR) * SECTOR;
    out.resize(length, 0);
}

fn u32le(value: usize) -> [u8; 4] {
    u32::try_from(value).unwrap_or(0).to_le_bytes()
}

fn u32be(value: usize) -> [u8; 4] {
    u32::try_from(value).unwrap_or(0).to_be_bytes()
}

/// A number in both byte orders, as the standard wants it.
fn both32(value: usize) -> Vec<u8> {
    [u32le(value), u32be(value)].concat()
}

fn both16(value: usize) -> Vec<u8> {
    let value = u16::try_from(value).unwrap_or(0);
    [value.to_le_bytes(), value.to_be_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sector_is_where_the_descriptors_say() {
        let files: [(&str, &[u8]); 3] =
            [("user-data", b"#cloud-config\n"), ("meta-data", &[b'm'; 5000]), ("network-config", b"")];
        let image = image("cidata", &files);
        assert_eq!(image.len() % SECTOR, 0);
        for (descriptor, joliet) in [(16, false), (17, true)] {
            let at = descriptor * SECTOR;
            let total = u32::from_le_bytes(image[at + 80..at + 84].try_into().unwrap()) as usize;
            assert_eq!(total * SECTOR, image.len());
            let root = u32::from_le_bytes(image[at + 158..at + 162].try_into().unwrap()) as usize * SECTOR;
            let mut found = 0;
            let mut cursor = root;
            while image[cursor] != 0 {
                let length = usize::from(image[cursor]);
                let start = u32::from_le_bytes(image[cursor + 2..cursor + 6].try_into().unwrap()) as usize * SECTOR;
                let bytes = u32::from_le_bytes(image[cursor + 10..cursor + 14].try_into().unwrap()) as usize;
                let name_length = usize::from(image[cursor + 32]);
                let raw = &image[cursor + 33..cursor + 33 + name_length];
                let name: String = if joliet {
                    raw.chunks(2).filter(|pair| pair.len() == 2).map(|pair| char::from(pair[1])).collect()
                } else {
                    String::from_utf8_lossy(raw).to_lowercase().trim_end_matches(";1").to_owned()
                };
                if let Some((_, content)) = files.iter().find(|(file, _)| *file == name) {
                    assert_eq!(&image[start..start + bytes], *content, "{name}");
                    found += 1;
                }
                cursor += length;
            }
            assert_eq!(found, 3, "joliet {joliet}");
        }
    }

    #[test]
    fn another_program_reads_the_same_files() {
        let dir = std::env::temp_dir().join(format!("yw-iso-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("seed.iso");
        std::fs::write(&path, image("cidata", &[("user-data", b"hello"), ("meta-data", b"x")])).unwrap();
        match std::process::Command::new("isoinfo").args(["-J", "-f", "-i"]).arg(&path).output() {
            Ok(output) => assert_eq!(String::from_utf8_lossy(&output.stdout), "/meta-data\n/user-data\n"),
            Err(_) => crate::pass_over("isoinfo (package genisoimage) is not installed"),
        }
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
