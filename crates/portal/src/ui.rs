//! Components: typed pieces of HTML that templates place with `{{ … }}`.
//!
//! A component escapes what it is given and is marked [`HtmlSafe`], so that a
//! template need not (and does not) use `|safe`. Their looks are in
//! `assets/components.css`; all of them are shown on `/design`.

use askama::Template;
use askama::filters::HtmlSafe;
use std::fmt;

/// What a colour means. Never the only carrier of its meaning: an icon and a
/// word go with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    /// Nothing to say.
    Neutral,
    /// Worth knowing.
    Info,
    /// Under way.
    Active,
    /// As it should be.
    Well,
    /// Wants attention.
    Care,
    /// Wrong, or destroys.
    Danger,
}

impl Tone {
    /// The class that sets the tone's colours.
    pub(crate) const fn class(self) -> &'static str {
        match self {
            Self::Neutral => "tone-neutral",
            Self::Info => "tone-info",
            Self::Active => "tone-active",
            Self::Well => "tone-well",
            Self::Care => "tone-care",
            Self::Danger => "tone-danger",
        }
    }
}

/// Line drawings of 24 × 24, one stroke weight, drawn for this portal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Icon {
    Home,
    Catalog,
    Orders,
    Services,
    Bills,
    People,
    Activity,
    Key,
    Devices,
    Flows,
    Hosts,
    Sites,
    Images,
    Search,
    Audit,
    Check,
    Cross,
    Warn,
    Info,
    Turn,
    Wait,
    Undo,
    Skip,
    Play,
    Stop,
    Restart,
    Trash,
    Plus,
    Copy,
    Out,
    Menu,
    Person,
    Sun,
    Moon,
    Auto,
    Print,
    Next,
    Console,
    Mail,
}

impl Icon {
    const fn path(self) -> &'static str {
        match self {
            Self::Home => r#"<path d="m3.5 11 8.5-7 8.5 7M6 9.5V20h12V9.5M10 20v-5.5h4V20"/>"#,
            Self::Catalog => {
                r#"<rect x="3.5" y="3.5" width="7" height="7" rx="1.5"/><rect x="13.5" y="3.5" width="7" height="7" rx="1.5"/><rect x="3.5" y="13.5" width="7" height="7" rx="1.5"/><path d="M17 13.5v7M13.5 17h7"/>"#
            }
            Self::Orders => {
                r#"<path d="M5 3.5h14v17l-2.3-1.5-2.4 1.5-2.3-1.5-2.3 1.5-2.4-1.5L5 20.5zM9 8.5h6M9 12.5h6"/>"#
            }
            Self::Services => {
                r#"<path d="M6.5 18.5h11a4 4 0 0 0 .6-7.95A6.2 6.2 0 0 0 6.2 9.3a4.65 4.65 0 0 0 .3 9.2z"/>"#
            }
            Self::Bills => r#"<path d="M6 3.5h8.5L19 8v12.5H6zM14 3.5V8.5h5M9.5 12.5h6M9.5 16h6"/>"#,
            Self::People => {
                r#"<circle cx="9" cy="8.5" r="3.5"/><path d="M2.5 20a6.5 6.5 0 0 1 13 0M16 5.3a3.4 3.4 0 0 1 0 6.4M18 14.6a6.3 6.3 0 0 1 3.5 5.4"/>"#
            }
            Self::Activity => r#"<path d="M3 12.5h4l3-8 4.5 15 2.8-7H21"/>"#,
            Self::Key => r#"<circle cx="8" cy="15.5" r="4.5"/><path d="m11.3 12.3 8.2-8.3M16 7.5l3 3M13.5 10l2 2"/>"#,
            Self::Devices => {
                r#"<rect x="2.5" y="5" width="14" height="10.5" rx="1.5"/><path d="M6.5 19h6M9.5 15.5V19"/><rect x="17" y="10" width="5" height="9.5" rx="1.2"/>"#
            }
            Self::Flows => {
                r#"<rect x="3" y="3.5" width="6" height="5" rx="1.2"/><rect x="15" y="9.5" width="6" height="5" rx="1.2"/><rect x="3" y="15.5" width="6" height="5" rx="1.2"/><path d="M9 6h2.5a1.5 1.5 0 0 1 1.5 1.5V12m2 0h-2m-4 6h2.500a1.500 1.500 0 0 0 1.500-1.500V12"/>"#
            }
            Self::Hosts => {
                r#"<rect x="3.5" y="4" width="17" height="6.5" rx="1.5"/><rect x="3.5" y="13.500" width="17" height="6.500" rx="1.500"/><path d="M7 7.250h.01M7 16.750h.01M11 7.250h6M11 16.750h6"/>"#
            }
            Self::Sites => {
                r#"<path d="M12 21s7-6.200 7-11.300A7 7 0 0 0 5 9.700C5 14.800 12 21 12 21z"/><circle cx="12" cy="9.700" r="2.500"/>"#
            }
            Self::Images => {
                r#"<ellipse cx="12" cy="6" rx="8" ry="2.800"/><path d="M4 6v6c0 1.550 3.600 2.800 8 2.800s8-1.250 8-2.800V6M4 12v6c0 1.550 3.600 2.800 8 2.800s8-1.250 8-2.800v-6"/>"#
            }
            Self::Search => r#"<circle cx="10.500" cy="10.500" r="6.500"/><path d="m15.500 15.500 5 5"/>"#,
            Self::Audit => {
                r#"<path d="M12 3 4.500 6v5.500c0 4.500 3.100 8 7.500 9.500 4.400-1.500 7.500-5 7.500-9.500V6zM8.800 12l2.300 2.300 4.200-4.500"/>"#
            }
            Self::Check => r#"<path d="m5 12.500 4.700 4.700L19.500 7.300"/>"#,
            Self::Cross => r#"<path d="m6 6 12 12M18 6 6 18"/>"#,
            Self::Warn => r#"<path d="M12 3.800 2.800 19.700h18.400zM12 10v4.200M12 17h.01"/>"#,
            Self::Info => r#"<circle cx="12" cy="12" r="8.700"/><path d="M12 11v5.300M12 7.700h.01"/>"#,
            Self::Turn => r#"<path d="M12 3.500a8.500 8.500 0 1 0 8.500 8.500"/>"#,
            Self::Wait => r#"<circle cx="12" cy="12" r="8.500"/><path d="M12 7v5.300l3.400 2"/>"#,
            Self::Undo => r#"<path d="M8.500 4.500 4 9l4.500 4.500M4.500 9h9.800a5.500 5.500 0 0 1 0 11H9"/>"#,
            Self::Skip => r#"<path d="M4 12h11m-4.500-5 5 5-5 5M20 6v12"/>"#,
            Self::Play => r#"<path d="M7.500 4.800v14.400l11.500-7.200z"/>"#,
            Self::Stop => r#"<rect x="6" y="6" width="12" height="12" rx="1.500"/>"#,
            Self::Restart => r#"<path d="M19.500 12a7.500 7.500 0 1 1-2.500-5.600M17.500 2.800v4h-4"/>"#,
            Self::Trash => {
                r#"<path d="M4 6.500h16M9 6.500V4h6v2.500M6 6.500l1 13.500h10l1-13.500M10 10.500v6M14 10.500v6"/>"#
            }
            Self::Plus => r#"<path d="M12 5v14M5 12h14"/>"#,
            Self::Copy => {
                r#"<rect x="8.500" y="8.500" width="11.500" height="11.500" rx="1.800"/><path d="M15.500 8.500V5.300A1.300 1.300 0 0 0 14.200 4H5.300A1.300 1.300 0 0 0 4 5.300v8.900a1.300 1.300 0 0 0 1.300 1.300h3.200"/>"#
            }
            Self::Out => r#"<path d="M10 4H5v16h5M14.500 7.500 19 12l-4.500 4.500M19 12H9.500"/>"#,
            Self::Menu => r#"<path d="M4 7h16M4 12h16M4 17h16"/>"#,
            Self::Person => r#"<circle cx="12" cy="8.300" r="4"/><path d="M4.500 20.500a7.500 7.500 0 0 1 15 0"/>"#,
            Self::Sun => {
                r#"<circle cx="12" cy="12" r="4"/><path d="M12 3v2M12 19v2M3 12h2M19 12h2M5.600 5.600 7 7M17 17l1.400 1.400M5.600 18.400 7 17M17 7l1.400-1.400"/>"#
            }
            Self::Moon => r#"<path d="M19.500 14.200A8 8 0 0 1 9.800 4.500a8 8 0 1 0 9.700 9.700z"/>"#,
            Self::Auto => {
                r#"<circle cx="12" cy="12" r="8.500"/><path d="M12 3.500v17M12 8h6.300M12 12h8.300M12 16h6.300"/>"#
            }
            Self::Print => r#"<path d="M7 8.500V3.500h10v5M7 17H4V8.500h16V17h-3M7 13.500h10v7H7z"/>"#,
            Self::Next => r#"<path d="m9 5 7 7-7 7"/>"#,
            Self::Console => {
                r#"<rect x="3" y="4.500" width="18" height="15" rx="1.800"/><path d="m7 9.500 3 2.700-3 2.700M12.500 15.500h4"/>"#
            }
            Self::Mail => {
                r#"<rect x="3" y="5" width="18" height="14" rx="1.800"/><path d="m3.500 7 8.500 6.500L20.500 7"/>"#
            }
        }
    }
}

impl fmt::Display for Icon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, r#"<svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">{}</svg>"#, self.path())
    }
}
impl HtmlSafe for Icon {}

/// A state in one word, with its sign and its tone.
#[derive(Clone, Debug, Template)]
#[template(
    ext = "html",
    source = r#"<span class="badge {{ tone.class() }}{% if turning %} turning{% endif %}">{{ icon }}{{ text }}</span>"#
)]
pub(crate) struct Badge {
    pub tone: Tone,
    pub icon: Icon,
    pub turning: bool,
    pub text: String,
}
impl HtmlSafe for Badge {}

impl Badge {
    pub(crate) fn new(tone: Tone, text: impl fmt::Display) -> Self {
        let icon = match tone {
            Tone::Neutral => Icon::Stop,
            Tone::Info => Icon::Wait,
            Tone::Active => Icon::Turn,
            Tone::Well => Icon::Check,
            Tone::Care => Icon::Warn,
            Tone::Danger => Icon::Cross,
        };
        Self { tone, icon, turning: tone == Tone::Active, text: text.to_string() }
    }
}

/// One allowed answer of a choice.
#[derive(Clone, Debug)]
pub(crate) struct Choice {
    pub value: String,
    pub label: String,
    pub note: String,
    pub chosen: bool,
}

impl Choice {
    pub(crate) fn new(value: impl Into<String>, label: impl Into<String>) -> Self {
        Self { value: value.into(), label: label.into(), note: String::new(), chosen: false }
    }
    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }
}

/// What the person handles inside a field.
#[derive(Clone, Debug)]
pub(crate) enum Control {
    /// One line: `kind` is the HTML input type.
    Line { kind: &'static str, value: String, placeholder: String, autocomplete: &'static str },
    /// A number between two bounds, with its unit behind it.
    Number { value: String, min: Option<String>, max: Option<String>, step: String, unit: String, slider: bool },
    /// Several lines.
    Area {
        value: String,
        placeholder: String,
        rows: u8,
        /// No browser keeps what is typed, fills it in, or has it read by whoever corrects spelling.
        private: bool,
    },
    /// One of many, folded.
    Select(Vec<Choice>),
    /// One of a few, all to be seen.
    Tiles(Vec<Choice>),
    /// Any number of a few.
    Boxes(Vec<Choice>),
    /// A file.
    File,
    /// Yes or no; the text beside the box.
    Check { on: bool, text: String },
}

/// A question in a form: label, hint, control and what was wrong with it.
#[derive(Clone, Debug, Template)]
#[template(path = "ui/field.html")]
pub(crate) struct Field {
    pub name: String,
    pub label: String,
    pub hint: String,
    pub error: String,
    /// The word for "optional", where the field is; empty where it is required.
    pub optional: &'static str,
    pub control: Control,
    pub autofocus: bool,
    pub required: bool,
    /// Set apart from fields of the same name elsewhere on the page.
    pub prefix: &'static str,
    /// The kinds that it is asked for, by the values of the form's tiles; empty: all.
    pub only: &'static str,
}
impl HtmlSafe for Field {}

impl Field {
    fn of(name: impl Into<String>, label: impl Into<String>, control: Control) -> Self {
        Self {
            name: name.into(),
            label: label.into(),
            hint: String::new(),
            error: String::new(),
            optional: "",
            control,
            autofocus: false,
            required: true,
            prefix: "",
            only: "",
        }
    }
    pub(crate) fn line(name: impl Into<String>, label: impl Into<String>, value: impl Into<String>) -> Self {
        Self::of(
            name,
            label,
            Control::Line { kind: "text", value: value.into(), placeholder: String::new(), autocomplete: "" },
        )
    }
    pub(crate) fn kind(mut self, new: &'static str, complete: &'static str) -> Self {
        if let Control::Line { kind, autocomplete, .. } = &mut self.control {
            *kind = new;
            *autocomplete = complete;
        }
        self
    }
    pub(crate) fn file(name: impl Into<String>, label: impl Into<String>) -> Self {
        Self::of(name, label, Control::File)
    }
    pub(crate) fn area(name: impl Into<String>, label: impl Into<String>, value: impl Into<String>) -> Self {
        Self::of(
            name,
            label,
            Control::Area { value: value.into(), placeholder: String::new(), rows: 3, private: false },
        )
    }
    /// How many lines of an area are seen at once.
    pub(crate) fn rows(mut self, many: u8) -> Self {
        if let Control::Area { rows, .. } = &mut self.control {
            *rows = many;
        }
        self
    }
    /// An area for what nobody else should see. Nothing is ever put back into it.
    pub(crate) fn private(name: impl Into<String>, label: impl Into<String>) -> Self {
        let (value, placeholder) = (String::new(), String::new());
        Self::of(name, label, Control::Area { value, placeholder, rows: 3, private: true })
    }
    pub(crate) fn select(name: impl Into<String>, label: impl Into<String>, choices: Vec<Choice>) -> Self {
        Self::of(name, label, Control::Select(choices))
    }
    pub(crate) fn tiles(name: impl Into<String>, label: impl Into<String>, choices: Vec<Choice>) -> Self {
        Self::of(name, label, Control::Tiles(choices))
    }
    pub(crate) fn boxes(name: impl Into<String>, label: impl Into<String>, choices: Vec<Choice>) -> Self {
        Self::of(name, label, Control::Boxes(choices))
    }
    pub(crate) fn check(name: impl Into<String>, label: impl Into<String>, text: impl Into<String>, on: bool) -> Self {
        Self::of(name, label, Control::Check { on, text: text.into() })
    }
    pub(crate) fn number(name: impl Into<String>, label: impl Into<String>, control: Control) -> Self {
        Self::of(name, label, control)
    }
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }
    pub(crate) fn error(mut self, error: impl Into<String>) -> Self {
        self.error = error.into();
        self
    }
    pub(crate) fn optional(mut self, word: &'static str) -> Self {
        self.optional = word;
        self.required = false;
        self
    }
    /// May be left empty, which goes without saying: for filters.
    pub(crate) fn free(mut self) -> Self {
        self.required = false;
        self
    }
    /// Asked for only where one of these tiles is chosen. Whether it is needed is said by whoever reads the form:
    /// where it is not shown nobody could fill it.
    pub(crate) fn only(mut self, kinds: &'static str) -> Self {
        self.only = kinds;
        self.required = false;
        self
    }
    /// Gives the control an id of its own among fields of the same name.
    pub(crate) fn within(mut self, prefix: &'static str) -> Self {
        self.prefix = prefix;
        self
    }
    pub(crate) fn focus(mut self) -> Self {
        self.autofocus = true;
        self
    }

    /// The id of the control that a label and the error summary point to.
    pub(crate) fn id(&self) -> String {
        let mut id = format!("f-{}", self.prefix);
        id.extend(self.name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }));
        id
    }
    /// Whether a legend rather than a label names it.
    fn grouped(&self) -> bool {
        matches!(self.control, Control::Tiles(_) | Control::Boxes(_) | Control::Check { .. })
    }
    /// The ids that describe the control, for screen readers.
    fn described(&self) -> String {
        let id = self.id();
        match (self.hint.is_empty(), self.error.is_empty()) {
            (true, true) => String::new(),
            (false, true) => format!("{id}-hint"),
            (true, false) => format!("{id}-error"),
            (false, false) => format!("{id}-hint {id}-error"),
        }
    }
}

/// The field, with what was wrong with it where something was: (name, words).
pub(crate) fn told(wrong: &[(&str, String)], field: Field) -> Field {
    match wrong.iter().find(|(name, _)| *name == field.name) {
        Some((_, words)) => field.error(words.clone()),
        None => field,
    }
}

/// What went wrong with a form, at its head, each line leading to its field.
#[derive(Clone, Debug, Default, Template)]
#[template(path = "ui/summary.html")]
pub(crate) struct Summary {
    pub title: &'static str,
    /// (id of the field or empty, what is wrong)
    pub errors: Vec<(String, String)>,
}
impl HtmlSafe for Summary {}

impl Summary {
    /// Gathers the errors of `fields`; `general` concerns the form as a whole.
    pub(crate) fn gather(title: &'static str, fields: &[&Field], general: &str) -> Self {
        let mut errors: Vec<(String, String)> = Vec::new();
        if !general.is_empty() {
            errors.push((String::new(), general.to_owned()));
        }
        errors.extend(
            fields.iter().filter(|f| !f.error.is_empty()).map(|f| (f.id(), format!("{}: {}", f.label, f.error))),
        );
        Self { title, errors }
    }
}

/// A message on a page.
#[derive(Clone, Debug, Template)]
#[template(path = "ui/notice.html")]
pub(crate) struct Notice {
    pub tone: Tone,
    pub title: String,
    pub body: String,
}
impl HtmlSafe for Notice {}

impl Notice {
    pub(crate) fn new(tone: Tone, title: impl fmt::Display, body: impl fmt::Display) -> Self {
        Self { tone, title: title.to_string(), body: body.to_string() }
    }
    const fn icon(&self) -> Icon {
        match self.tone {
            Tone::Well => Icon::Check,
            Tone::Care | Tone::Danger => Icon::Warn,
            _ => Icon::Info,
        }
    }
}

/// How full something is: used (posted) and held (reserved) of a total.
#[derive(Clone, Debug, Template)]
#[template(path = "ui/meter.html")]
pub(crate) struct Meter {
    pub label: String,
    pub text: String,
    /// Hundredths of a per cent, so that nothing here is a float.
    pub used: u32,
    pub held: u32,
}
impl HtmlSafe for Meter {}

impl Meter {
    /// `used` and `held` out of `total`, in whatever unit they share.
    pub(crate) fn new(label: impl Into<String>, text: impl Into<String>, used: i64, held: i64, total: i64) -> Self {
        let part = |n: i64| -> u32 {
            if total <= 0 {
                return 0;
            }
            u32::try_from((i128::from(n.max(0)) * 10_000 / i128::from(total)).min(10_000)).unwrap_or(10_000)
        };
        Self { label: label.into(), text: text.into(), used: part(used), held: part(held) }
    }
    fn class(&self) -> &'static str {
        match self.used + self.held {
            0..7_500 => "",
            7_500..9_000 => " care",
            _ => " danger",
        }
    }
    fn used_width(&self) -> String {
        percent(self.used)
    }
    fn held_width(&self) -> String {
        percent(self.held.min(10_000 - self.used))
    }
    fn whole(&self) -> u32 {
        (self.used + self.held).min(10_000) / 100
    }
}

fn percent(hundredths: u32) -> String {
    format!("{}.{:02}%", hundredths / 100, hundredths % 100)
}

/// Where a step of a flow stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StepState {
    Waiting,
    Running,
    Done,
    Failed,
    Undone,
    Skipped,
}

/// One step on the way.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub state: StepState,
    pub name: String,
    /// What is being waited for, or what went wrong.
    pub why: String,
    /// How long it took or has been running.
    pub took: String,
}

/// The way of an order or flow: its steps and how far it has come.
#[derive(Clone, Debug, Template)]
#[template(path = "ui/steps.html")]
pub(crate) struct Steps {
    pub steps: Vec<Step>,
    /// Said to screen readers when it changes.
    pub spoken: String,
    pub words: &'static crate::i18n::State,
}
impl HtmlSafe for Steps {}

impl Steps {
    fn done(&self) -> usize {
        self.steps.iter().filter(|s| matches!(s.state, StepState::Done | StepState::Skipped)).count()
    }
    fn width(&self) -> String {
        let total = self.steps.len().max(1);
        let half = usize::from(self.steps.iter().any(|s| s.state == StepState::Running));
        percent(u32::try_from((self.done() * 2 + half) * 5_000 / total).unwrap_or(0).min(10_000))
    }
    fn tone(&self) -> &'static str {
        if self.steps.iter().any(|s| s.state == StepState::Failed) {
            "danger"
        } else if self.steps.iter().any(|s| s.state == StepState::Undone) {
            "care"
        } else if self.done() == self.steps.len() {
            "well"
        } else {
            ""
        }
    }
}

impl StepState {
    fn class(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Undone => "undone",
            Self::Skipped => "skipped",
        }
    }
    fn icon(self) -> Option<Icon> {
        match self {
            Self::Waiting | Self::Running => None,
            Self::Done => Some(Icon::Check),
            Self::Failed => Some(Icon::Cross),
            Self::Undone => Some(Icon::Undo),
            Self::Skipped => Some(Icon::Skip),
        }
    }
    fn word(self, words: &crate::i18n::State) -> &'static str {
        match self {
            Self::Waiting => words.step_waiting,
            Self::Running => words.step_running,
            Self::Done => words.step_done,
            Self::Failed => words.step_failed,
            Self::Undone => words.step_undone,
            Self::Skipped => words.step_skipped,
        }
    }
}

/// Nothing here yet, why, and what to do about it.
#[derive(Clone, Debug, Template)]
#[template(path = "ui/empty.html")]
pub(crate) struct Empty {
    pub title: String,
    pub body: String,
    pub link: Option<(String, String)>,
}
impl HtmlSafe for Empty {}

impl Empty {
    pub(crate) fn new(title: impl fmt::Display, body: impl fmt::Display) -> Self {
        Self { title: title.to_string(), body: body.to_string(), link: None }
    }
    pub(crate) fn link(mut self, href: impl fmt::Display, label: impl fmt::Display) -> Self {
        self.link = Some((href.to_string(), label.to_string()));
        self
    }
}

/// The way back up.
#[derive(Clone, Debug, Template)]
#[template(
    ext = "html",
    source = r#"<nav class="crumbs" aria-label="{{ label }}"><ol>{% for (href, text) in links %}<li><a href="{{ href }}">{{ text }}</a></li>{% endfor %}</ol></nav>"#
)]
pub(crate) struct Crumbs {
    pub label: &'static str,
    pub links: Vec<(String, String)>,
}
impl HtmlSafe for Crumbs {}

/// Sections of one thing, each with an address of its own.
#[derive(Clone, Debug, Template)]
#[template(
    ext = "html",
    source = r#"<nav class="tabs" aria-label="{{ label }}">{% for (href, text, here) in links %}<a href="{{ href }}"{% if *here %} aria-current="page"{% endif %}>{{ text }}</a>{% endfor %}</nav>"#
)]
pub(crate) struct Tabs {
    pub label: String,
    pub links: Vec<(String, String, bool)>,
}
impl HtmlSafe for Tabs {}

/// Newer and older pages of a list that is paged by key.
#[derive(Clone, Debug, Default, Template)]
#[template(path = "ui/pager.html")]
pub(crate) struct Pager {
    pub label: &'static str,
    pub text: String,
    pub first: Option<(String, &'static str)>,
    pub next: Option<(String, &'static str)>,
}
impl HtmlSafe for Pager {}

/// Text to take away: a token, an address, a command.
#[derive(Clone, Debug, Template)]
#[template(
    ext = "html",
    source = r#"<span class="copy"><code id="{{ id }}" tabindex="0">{{ text }}</code><button type="button" class="btn" data-copy="{{ id }}" data-copied="{{ copied }}" hidden>{{ Icon::Copy }}<span>{{ copy }}</span></button></span>"#
)]
pub(crate) struct Copy {
    pub id: &'static str,
    pub text: String,
    pub copy: &'static str,
    pub copied: &'static str,
}
impl HtmlSafe for Copy {}

/// A question before something that cannot be taken back: a dialog where a
/// script runs, the same form on a page of its own where none does.
#[derive(Clone, Debug, Template)]
#[template(path = "ui/confirm.html")]
pub(crate) struct Confirm {
    pub id: &'static str,
    pub action: String,
    pub csrf: String,
    pub title: String,
    pub body: String,
    pub fields: Vec<Field>,
    pub hidden: Vec<(&'static str, String)>,
    pub button: String,
    pub danger: bool,
    pub cancel: &'static str,
    pub back: String,
    /// On a page of its own rather than in a dialog.
    pub page: bool,
}
impl HtmlSafe for Confirm {}
