//! Taking a snapshot of files and directories.
//!
//! One thread walks, compares with the snapshot before, and hands the files that changed to the
//! [`Crew`]. A directory is a list of entries with gaps in it until the last of them is there;
//! whoever brings that one writes it, and fills a gap in the directory above. So a large file holds
//! up nothing but the directories that it lies in.
//!
//! The engine does this too, but computes the tables of its cutter for each file anew, opens a
//! decompressor for each piece to verify it, and runs some ten threads for each of two cores.
//! What an entry says of a file is still its work.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;

use ignore::overrides::Override;
use ignore::{DirEntry, WalkBuilder};
use rustic_core::repofile::{Metadata, Node, NodeType, SnapshotFile, SnapshotSummary};
use rustic_core::{Excludes, IndexedFullStatus, LocalSourceSaveOptions, TreeId};
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::crew::{Crew, Hands};
use super::{Done, Notes, Opened, named, snapshot};
use crate::fault;
use crate::request::Unreadable;

/// How often a file that is replaced while it is opened is looked at anew.
const TRIES: u32 = 3;

/// A file or directory that is backed up.
pub(super) struct Root {
    /// Where it is.
    pub(super) path: PathBuf,
    /// The path that it has in the snapshot.
    pub(super) named: PathBuf,
}

/// Takes a snapshot of files and directories, none within another.
pub(super) fn run(
    open: &Opened<IndexedFullStatus>,
    roots: &[Root],
    except: &[String],
    unreadable: Unreadable,
    notes: &Notes,
    form: SnapshotFile,
) -> Done<SnapshotFile> {
    let form = particulars(form, roots)?;
    let source = Source::new(roots, except)?;
    let last = snapshot::last(open, &form);
    let taking = Taking {
        open,
        crew: Crew::new(open)?,
        strict: unreadable == Unreadable::Refuse,
        notes,
        counted: Mutex::default(),
        tree: OnceLock::new(),
    };
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let bytes = source.bytes(&over);
            if !over.load(Ordering::Relaxed) {
                taking.crew.progress.set_length(bytes);
            }
        });
        let done = taking.crew.run(
            |hands| taking.walk(hands, &source, last.as_ref().map(|last| last.tree)),
            |hands, changed| taking.read(hands, changed),
        );
        over.store(true, Ordering::Relaxed);
        done
    })?;
    let tree = *taking.tree.get().ok_or_else(|| fault::error(fault::ENGINE, "the walk ended before its root"))?;
    let counted = taking.counted.into_inner().unwrap_or_else(PoisonError::into_inner);
    let taken = snapshot::record(open, &taking.crew.packer, form, last.as_ref(), (tree, counted.0))?;
    taking.crew.progress.finish();
    Ok(taken)
}

/// Takes a snapshot of what a reader gives, as one file. Where `about` says that it is still what
/// was there before, it is not read.
pub(super) fn one(
    open: &Opened<IndexedFullStatus>,
    named: &Path,
    about: Metadata,
    input: impl io::Read,
    cut: base::Error,
    form: SnapshotFile,
) -> Done<SnapshotFile> {
    let name = named.file_name().ok_or_else(|| fault::error(fault::REQUEST_INVALID, "a file needs a name"))?;
    let form = particulars(form, &[Root { path: PathBuf::new(), named: named.to_owned() }])?;
    let last = snapshot::last(open, &form);
    let crew: Crew<'_, ()> = Crew::new(open)?;
    if about.size > 0 {
        crew.progress.set_length(about.size);
    }
    let mut node = Node::new_node(name, NodeType::File, about);
    let before = || open.engine.node_from_path(last.as_ref()?.tree, named.strip_prefix("/").ok()?).ok();
    let before = before();
    let mut counted = Counted::default();
    crew.run(
        |hands| {
            let known = before.as_ref().filter(|then| is_same(&node, then) && has_pieces(open, then));
            match known {
                Some(then) => {
                    node.content.clone_from(&then.content);
                    crew.progress.inc(node.meta.size);
                }
                None => {
                    let (pieces, bytes) = crew.store(hands, input)?.map_err(|_| cut)?;
                    (node.content, node.meta.size) = (Some(pieces), bytes);
                }
            }
            counted.file(&node, State::of(before.is_some(), known.is_some()));
            Ok(())
        },
        |_, ()| Ok(()),
    )?;
    let folder = named.parent().unwrap_or(Path::new("/"));
    let tree = snapshot::above(&crew.packer, &mut crew.packer.press()?, folder, vec![node])?;
    let taken = snapshot::record(open, &crew.packer, form, last.as_ref(), (tree, counted.0))?;
    crew.progress.finish();
    Ok(taken)
}

/// The snapshot's particulars with its paths.
fn particulars(mut form: SnapshotFile, roots: &[Root]) -> Done<SnapshotFile> {
    for Root { named, .. } in roots {
        let path = named.to_str().filter(|_| named.is_absolute());
        let message = "what is backed up is named by its whole path, in UTF-8";
        form.paths.add(path.ok_or_else(|| fault::error(fault::REQUEST_INVALID, message))?.to_owned());
    }
    Ok(form)
}

/// What is walked through.
struct Source<'a> {
    roots: &'a [Root],
    except: Override,
}

impl<'a> Source<'a> {
    fn new(roots: &'a [Root], except: &[String]) -> Done<Self> {
        let mut excludes = Excludes::default();
        excludes.globs = except.iter().map(|pattern| format!("!{pattern}")).collect();
        let except = excludes.as_override().map_err(|e| {
            fault::error(fault::REQUEST_INVALID, format!("a pattern does not read: {}", named(&e).message()))
        })?;
        Ok(Source { roots, except })
    }

    fn walk(&self, root: &Root) -> WalkBuilder {
        let mut walk = WalkBuilder::new(&root.path);
        walk.standard_filters(false).follow_links(false).overrides(self.except.clone());
        walk
    }

    /// All that is below a root, itself first, each directory in order of the names' bytes.
    fn entries(&self, root: &Root) -> ignore::Walk {
        self.walk(root).sort_by_file_path(Path::cmp).build()
    }

    /// How many there are to be read, at most; told until it is over.
    fn bytes(&self, over: &AtomicBool) -> u64 {
        let entries = self.roots.iter().flat_map(|root| self.walk(root).build()).flatten();
        let entries = entries.take_while(|_| !over.load(Ordering::Relaxed));
        let files = entries.filter_map(|entry| entry.metadata().ok()).filter(fs::Metadata::is_file);
        files.fold(0, |sum: u64, meta| sum.saturating_add(meta.len()))
    }
}

/// What an entry says.
fn node(entry: DirEntry) -> io::Result<Node> {
    let path = entry.path().to_owned();
    match LocalSourceSaveOptions::default().map_entry(entry) {
        Ok(read) => Ok(read.node),
        // The file system says it shorter.
        Err(error) => Err(fs::symlink_metadata(&path).err().unwrap_or_else(|| io::Error::other(error.to_string()))),
    }
}

/// What is there now under a path.
fn node_at(path: &Path) -> io::Result<Node> {
    let mut walk = WalkBuilder::new(path).standard_filters(false).max_depth(Some(0)).build();
    let entry = walk.next().ok_or(io::ErrorKind::NotFound)?;
    node(entry.map_err(io::Error::other)?)
}

/// Whether a file is what it was, as far as its file system tells.
fn is_same(now: &Node, then: &Node) -> bool {
    let (meta, known) = (&now.meta, &then.meta);
    // Not every program tells it.
    let inode = meta.inode == known.inode || meta.inode == 0 || known.inode == 0;
    // Of what is no file, programs differ in what its size would be.
    let size = !now.is_file() || meta.size == known.size;
    let times = meta.mtime.is_some() && (meta.mtime, meta.ctime) == (known.mtime, known.ctime);
    now.node_type == then.node_type && size && times && inode
}

/// Whether all of a file's pieces are there, and are all of it; what is no file has none.
fn has_pieces(open: &Opened<IndexedFullStatus>, node: &Node) -> bool {
    if !node.is_file() {
        return true;
    }
    let length = |piece| open.engine.get_index_entry(piece).map(|entry| u64::from(entry.data_length()));
    let lengths = node.content.iter().flatten().map(length).sum::<Result<u64, _>>();
    lengths.is_ok_and(|length| length == node.meta.size)
}

/// What became of an entry since the snapshot before.
#[derive(Clone, Copy)]
enum State {
    New,
    Changed,
    Same,
}

impl State {
    fn of(was_there: bool, is_same: bool) -> Self {
        match (was_there, is_same) {
            (_, true) => State::Same,
            (true, false) => State::Changed,
            (false, false) => State::New,
        }
    }
}

/// What is told of all of it.
#[derive(Default)]
struct Counted(SnapshotSummary);

impl Counted {
    fn file(&mut self, node: &Node, state: State) {
        let Counted(all) = self;
        all.total_files_processed += 1;
        all.total_bytes_processed += if node.is_file() { node.meta.size } else { 0 };
        match state {
            State::New => all.files_new += 1,
            State::Changed => all.files_changed += 1,
            State::Same => all.files_unmodified += 1,
        }
    }

    fn folder(&mut self, bytes: u64, state: State) {
        let Counted(all) = self;
        all.total_dirs_processed += 1;
        all.total_dirsize_processed += bytes;
        match state {
            State::New => all.dirs_new += 1,
            State::Changed => all.dirs_changed += 1,
            State::Same => all.dirs_unmodified += 1,
        }
    }
}

/// A directory that is being put together.
struct Folder {
    /// Where its own entry belongs; none: it is the root of the snapshot.
    up: Option<Gap>,
    /// What it was in the snapshot before.
    before: Option<TreeId>,
    open: Mutex<Entries>,
}

struct Entries {
    node: Node,
    nodes: Vec<Option<Node>>,
    /// Gaps that nobody has filled, and one more until the walk has left the directory.
    lacking: usize,
}

/// A place in a directory for an entry.
#[derive(Clone)]
struct Gap {
    folder: Arc<Folder>,
    number: usize,
}

impl Folder {
    fn new(up: Option<Gap>, node: Node, before: Option<TreeId>) -> Arc<Self> {
        Arc::new(Folder { up, before, open: Mutex::new(Entries { node, nodes: Vec::new(), lacking: 1 }) })
    }

    fn open(&self) -> MutexGuard<'_, Entries> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The place of the next entry.
    fn gap(self: &Arc<Self>) -> Gap {
        let mut open = self.open();
        open.nodes.push(None);
        open.lacking += 1;
        Gap { folder: self.clone(), number: open.nodes.len() - 1 }
    }

    /// One lacks no more: its own entry and those in it, where that was the last one.
    fn filled(&self, entry: Option<(usize, Node)>) -> Option<(Node, Vec<Node>)> {
        let mut open = self.open();
        if let Some((number, node)) = entry
            && let Some(gap) = open.nodes.get_mut(number)
        {
            *gap = Some(node);
        }
        open.lacking -= 1;
        let is_whole = open.lacking == 0;
        is_whole.then(|| {
            let Entries { node, nodes, .. } = &mut *open;
            (std::mem::take(node), std::mem::take(nodes).into_iter().flatten().collect())
        })
    }
}

/// A directory of the snapshot before, gone through beside the walk.
struct Before {
    nodes: std::iter::Peekable<std::vec::IntoIter<Node>>,
}

impl Before {
    /// Where it cannot be read, everything is new.
    fn new(open: &Opened<IndexedFullStatus>, tree: Option<TreeId>) -> Self {
        let nodes = tree.and_then(|tree| open.engine.get_tree(&tree).ok()).map(|tree| tree.nodes);
        Before { nodes: nodes.unwrap_or_default().into_iter().peekable() }
    }

    /// What was there under a name; asked in order.
    fn find(&mut self, name: &OsStr) -> Option<Node> {
        while self.nodes.next_if(|node| *node.name() < *name).is_some() {}
        self.nodes.next_if(|node| *node.name() == *name)
    }
}

/// A file that is to be read.
struct Changed {
    path: PathBuf,
    /// The directory that it was found below, held open; none where it is itself what is backed up.
    ground: Option<Arc<OwnedFd>>,
    /// Where, below that.
    below: PathBuf,
    node: Node,
    state: State,
    gap: Gap,
}

/// A snapshot that is being taken.
struct Taking<'a> {
    open: &'a Opened<IndexedFullStatus>,
    crew: Crew<'a, Changed>,
    /// Whether what cannot be read ends it.
    strict: bool,
    notes: &'a Notes,
    counted: Mutex<Counted>,
    tree: OnceLock<TreeId>,
}

impl Taking<'_> {
    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes on without a part of the source, where that is allowed.
    fn leave_out(&self, what: String) -> Done<()> {
        if self.strict {
            let message = format!("not all could be read, so nothing was recorded: {what}; look at it and try again");
            return Err(fault::error(fault::SOURCE_UNREADABLE, message).into());
        }
        self.notes.leave_out(&what);
        Ok(())
    }

    fn walk(&self, hands: &mut Hands, source: &Source<'_>, before: Option<TreeId>) -> Done<()> {
        let mut walk = Walk { taking: self, hands, trail: Vec::new(), ground: None, closed: None };
        let top = Folder::new(None, Node::default(), before);
        walk.trail.push(Level { name: OsString::new(), folder: top, before: Before::new(self.open, before) });
        for root in source.roots {
            // What cannot be held as a directory is a file, or the walk says what is wrong with it.
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            walk.ground = rustix::fs::openat(CWD, &root.path, flags, Mode::empty()).ok().map(Arc::new);
            for entry in source.entries(root) {
                if self.crew.has_failed() {
                    return Ok(());
                }
                match entry {
                    Ok(entry) => walk.visit(root, entry)?,
                    Err(error) => self.leave_out(error.to_string())?,
                }
            }
        }
        while !walk.trail.is_empty() {
            walk.leave()?;
        }
        Ok(())
    }

    /// Puts an entry into its place, and writes the directories that become whole by it.
    fn fill(&self, hands: &mut Hands, gap: &Gap, node: Option<Node>) -> Done<()> {
        self.fit(hands, gap.folder.clone(), node.map(|node| (gap.number, node)))
    }

    fn fit(&self, hands: &mut Hands, mut folder: Arc<Folder>, mut entry: Option<(usize, Node)>) -> Done<()> {
        while let Some((mut node, nodes)) = folder.filled(entry.take()) {
            let (tree, bytes) = self.crew.packer.tree(&mut hands.press, nodes)?;
            self.counted().folder(bytes, State::of(folder.before.is_some(), folder.before == Some(tree)));
            let Some(Gap { folder: up, number }) = folder.up.clone() else {
                let _ = self.tree.set(tree);
                break;
            };
            node.subtree = Some(tree);
            (folder, entry) = (up, Some((number, node)));
        }
        Ok(())
    }

    /// Reads a file that changed.
    fn read(&self, hands: &mut Hands, changed: Changed) -> Done<()> {
        let read = opened(&changed);
        let Changed { path, state, gap, .. } = changed;
        let read = match read {
            Ok((file, node)) => self.crew.store(hands, file)?.map(|contents| (node, contents)),
            Err(error) => Err(error),
        };
        let node = match read {
            Ok((mut node, (pieces, bytes))) => {
                // What was read, whatever the file has become meanwhile. Its times are from before:
                // what is written during the reading is found by the next backup.
                (node.content, node.meta.size) = (Some(pieces), bytes);
                self.counted().file(&node, state);
                Some(node)
            }
            Err(error) => {
                self.leave_out(format!("{}: {error}", path.display()))?;
                None
            }
        };
        self.fill(hands, &gap, node)
    }
}

/// Opens a file, and what is to be said of the very one that is open.
///
/// Who may write there may put something else in its place at any moment, or in that of a directory on
/// the way. So no link is followed below what is backed up, what is neither a file nor the one that was
/// looked at is not opened, and a file that is replaced all the time is left out.
fn opened(changed: &Changed) -> io::Result<(File, Node)> {
    let mut node = changed.node.clone();
    for _ in 0..TRIES {
        let held = held(changed)?;
        let about = rustix::fs::fstat(&held)?;
        if FileType::from_raw_mode(about.st_mode) != FileType::RegularFile {
            return Err(io::Error::other("it is no file any more"));
        }
        if is_of(&node, &about) {
            // What is held can be opened only as what it is; a file that somebody leases is waited for.
            let file = File::open(format!("/proc/self/fd/{}", held.as_raw_fd()))?;
            return Ok((file, node));
        }
        node = Node { name: node.name, ..node_at(&changed.path)? };
        if !node.is_file() {
            return Err(io::Error::other("it is no file any more"));
        }
    }
    Err(io::Error::other("it is replaced all the time"))
}

/// Takes hold of what is at a file's place, without opening it.
fn held(changed: &Changed) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let Some(ground) = &changed.ground else {
        return Ok(rustix::fs::openat(CWD, &changed.path, flags, Mode::empty())?);
    };
    let within = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    match rustix::fs::openat2(ground, &changed.below, flags, Mode::empty(), within) {
        Err(Errno::LOOP | Errno::XDEV) => Err(io::Error::other("a link was put in its way")),
        found => Ok(found?),
    }
}

/// Whether an entry is of this very file, as far as rights go that a restore gives it.
fn is_of(node: &Node, about: &rustix::fs::Stat) -> bool {
    let meta = &node.meta;
    // The format has some bits of a mode elsewhere.
    let special = [(23, 0o4000), (22, 0o2000), (20, 0o1000)];
    let mode = |kept: u32| special.iter().fold(kept & 0o777, |mode, (at, bit)| mode | (((kept >> at) & 1) * bit));
    let same = |kept: Option<u32>, now: u32| kept.is_none_or(|kept| kept == now);
    meta.inode == about.st_ino
        && same(meta.uid, about.st_uid)
        && same(meta.gid, about.st_gid)
        && same(meta.mode.map(mode), about.st_mode & 0o7777)
}

/// A directory that the walk is in.
struct Level {
    name: OsString,
    folder: Arc<Folder>,
    before: Before,
}

/// The walk, and the way from the root to where it is.
struct Walk<'w, 'a> {
    taking: &'w Taking<'a>,
    hands: &'w mut Hands,
    trail: Vec<Level>,
    /// The root that is walked through, where it is a directory.
    ground: Option<Arc<OwnedFd>>,
    /// Nothing below this is taken: it is no directory, or was none when it was looked at.
    closed: Option<PathBuf>,
}

impl Walk<'_, '_> {
    fn visit(&mut self, root: &Root, entry: DirEntry) -> Done<()> {
        let path = entry.path().to_owned();
        // The walk goes by what a directory's list said, which may be long ago; we go by what is there.
        if self.closed.as_ref().is_some_and(|closed| path.starts_with(closed) && path != *closed) {
            return Ok(());
        }
        let was_folder = entry.file_type().is_some_and(|kind| kind.is_dir());
        let below = path.strip_prefix(&root.path).unwrap_or(Path::new(""));
        let named = if below.as_os_str().is_empty() { root.named.clone() } else { root.named.join(below) };
        let mut node = match node(entry) {
            Ok(node) => node,
            Err(error) => {
                self.closed = Some(path.clone());
                return self.taking.leave_out(format!("{}: {error}", path.display()));
            }
        };
        self.closed = (!was_folder || !node.is_dir()).then(|| path.clone());
        if was_folder != node.is_dir() {
            return self.taking.leave_out(format!("{}: it was replaced while it was looked at", path.display()));
        }
        // The root of the snapshot has no entry.
        let Some(name) = named.file_name() else { return Ok(()) };
        self.enter(named.parent().unwrap_or(Path::new("/")))?;
        if below.as_os_str().is_empty() {
            node.name = Node::new_node(name, NodeType::File, Metadata::default()).name;
        }
        if node.is_dir() { self.open(name, node) } else { self.file((&path, below), name, node) }
    }

    /// Goes to a directory, leaving others; those on the way that were not walked are invented.
    fn enter(&mut self, path: &Path) -> Done<()> {
        let names = path.components().filter_map(|part| match part {
            Component::Normal(name) => Some(name),
            _ => None,
        });
        let names: Vec<&OsStr> = names.collect();
        let known = self.trail.iter().skip(1).zip(&names).take_while(|(level, name)| level.name == **name).count();
        while self.trail.len() > known + 1 {
            self.leave()?;
        }
        for name in names.into_iter().skip(known) {
            self.open(name, snapshot::invented(name))?;
        }
        Ok(())
    }

    /// Goes into a directory.
    fn open(&mut self, name: &OsStr, node: Node) -> Done<()> {
        let Some(top) = self.trail.last_mut() else { return Ok(()) };
        let before = top.before.find(name).and_then(|then| then.subtree);
        let folder = Folder::new(Some(top.folder.gap()), node, before);
        self.trail.push(Level { name: name.to_owned(), folder, before: Before::new(self.taking.open, before) });
        Ok(())
    }

    /// Goes out of one.
    fn leave(&mut self) -> Done<()> {
        match self.trail.pop() {
            Some(level) => self.taking.fit(self.hands, level.folder, None),
            None => Ok(()),
        }
    }

    fn file(&mut self, (path, below): (&Path, &Path), name: &OsStr, mut node: Node) -> Done<()> {
        let Some(top) = self.trail.last_mut() else { return Ok(()) };
        let then = top.before.find(name);
        let gap = top.folder.gap();
        let known = then.as_ref().filter(|then| is_same(&node, then) && has_pieces(self.taking.open, then));
        let state = State::of(then.is_some(), known.is_some());
        match known {
            None if node.is_file() => {
                let (path, below) = (path.to_owned(), below.to_owned());
                self.taking.crew.give(Changed { path, ground: self.ground.clone(), below, node, state, gap });
                return Ok(());
            }
            Some(then) if node.is_file() => {
                node.content.clone_from(&then.content);
                self.taking.crew.progress.inc(node.meta.size);
            }
            _ => {}
        }
        self.taking.counted().file(&node, state);
        self.taking.fill(self.hands, &gap, Some(node))
    }
}
