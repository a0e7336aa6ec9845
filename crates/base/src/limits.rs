//! Every limit of the house, in one place.

/// Largest HTTP request body, in bytes.
pub const BODY_BYTES_MAX: usize = 1 << 20;
/// Bytes of a body that is too large that are read all the same: who sends one hears the answer only when done.
pub const BODY_DISCARDED_MAX: usize = 16 << 20;
/// How long an answer may wait for somebody to read on, in seconds; then the connection is given up.
pub const UNREAD_SECONDS_MAX: u32 = 60;
/// Deepest nesting of a JSON document.
pub const JSON_DEPTH_MAX: usize = 32;
/// Largest stored record, in bytes of JSON.
pub const RECORD_BYTES_MAX: usize = 512 << 10;
/// Largest record as somebody may send it: what the platform adds to it must find room.
pub const RECORD_SENT_BYTES_MAX: usize = RECORD_BYTES_MAX - (64 << 10);
/// Longest identifier, name or other indexed text, in bytes.
pub const TEXT_INDEXED_MAX: usize = 1_024;
/// Words that one thing can be found by.
pub const WORDS_MAX: usize = 32;
/// How long a challenge for a passkey may wait for its answer, in seconds.
pub const PASSKEY_SECONDS: i64 = 300;
/// Things of one kind that a search shows.
pub const SEARCH_MAX: usize = 10;
/// Characters of what is searched for.
pub const SEARCH_CHARS_MAX: usize = 200;
/// Words of the index that a search for several words looks at, for each tenant and kind.
pub const SEARCH_WORDS_MAX: usize = 2_000;
/// Entries of a list when nobody asks for a number.
pub const PAGE_DEFAULT: u32 = 20;
/// Most entries of a list in one answer.
pub const PAGE_MAX: u32 = 1_000;
/// Bytes of documents on one page of a list; beyond them the page ends early, with its link to the next.
pub const PAGE_BYTES_MAX: usize = 16 << 20;
/// Furthest that `offset` may reach; beyond it one follows the next link.
pub const OFFSET_MAX: u64 = 10_000;
/// Largest number of matches that is counted exactly.
pub const COUNT_EXACT_MAX: u64 = 10_000;
/// Records looked at for a filter on a path without an index.
pub const SCAN_MAX: u64 = 10_000;
/// Longest query string, in bytes.
pub const QUERY_BYTES_MAX: usize = 8 << 10;
/// Most values that the filters of one list compare with, all together.
pub const ALTERNATIVES_MAX: usize = 100;
/// Most attributes that `fields` may name.
pub const FIELDS_MAX: usize = 100;
/// Longest pattern of a `.regex` filter, in bytes.
pub const PATTERN_BYTES_MAX: usize = 256;
/// Memory that a compiled pattern may take, in bytes.
pub const PATTERN_SIZE_MAX: usize = 256 << 10;
/// Longest `Idempotency-Key`, in bytes.
pub const IDEMPOTENCY_KEY_MAX: usize = 255;
/// How long an answer is kept for a repeated request, in hours.
pub const IDEMPOTENCY_HOURS: i64 = 48;
/// Subscriptions of one tenant at one API's hub.
pub const SUBSCRIPTIONS_MAX: u32 = 50;
/// Longest address that events are sent to, in bytes.
pub const CALLBACK_BYTES_MAX: usize = 2_048;
/// Times that a notification is sent before it is given up.
pub const DELIVERY_ATTEMPTS_MAX: usize = 10;
/// How long one sending may take, in seconds.
pub const DELIVERY_SECONDS_MAX: u64 = 15;
/// Notifications on their way at one time.
pub const DELIVERIES_AT_ONCE_MAX: usize = 16;
/// Notifications of one tenant on their way at one time.
pub const DELIVERIES_OF_TENANT_MAX: usize = 4;
/// How long a caller may take to send a request's head, in seconds.
pub const HEAD_SECONDS_MAX: u64 = 15;
/// How long our own clients keep a connection that nothing goes over, in seconds: less than a
/// server does, so that no request is sent into one that is being closed.
pub const IDLE_SECONDS_MAX: u64 = 5;
/// How long a TLS handshake may take, in seconds.
pub const HANDSHAKE_SECONDS_MAX: u64 = 10;
/// How long a request may take, its body included, in seconds.
pub const REQUEST_SECONDS_MAX: u64 = 30;
/// Connections that one address may hold at one time; more are closed.
pub const CONNECTIONS_PER_ADDRESS_MAX: usize = 512;
/// Connections at one time; more wait.
pub const CONNECTIONS_MAX: usize = 4_096;
/// Requests that one actor may make in a second, on average.
pub const ACTOR_REQUESTS_PER_SECOND: u32 = 200;
/// Requests that one address may make in a second before anybody is known, on average.
pub const ADDRESS_REQUESTS_PER_SECOND: u32 = 500;
/// Most conditions in one filter.
pub const FILTERS_MAX: usize = 16;
/// Tenants in one customer's subtree.
pub const SUBTREE_MAX: usize = 1_000;
/// Deepest tenant tree.
pub const TENANT_DEPTH_MAX: usize = 8;
/// Moves of one ledger batch.
pub const LEDGER_BATCH_MAX: usize = 256;
/// Hosts that are looked at for one placement, and shown at once.
pub const HOSTS_PLACED_MAX: i64 = 10_000;
/// How long a host may be silent before what runs there counts as unknown, in seconds.
pub const HOST_SILENCE_SECONDS: i64 = 90;
/// How often hosts are looked for that have been silent for so long, in seconds.
pub const HOST_SILENCE_LOOK_SECONDS: u64 = 15;
/// How far a host's clock may differ before operators are told, in milliseconds.
pub const HOST_CLOCK_DIFFERENCE_MS_MAX: i64 = 5_000;
/// How long an invitation for a host may stay open, in hours.
pub const INVITATION_HOURS_MAX: u32 = 24 * 7;
/// How long an agent's certificate is valid, in days.
pub const HOST_CERTIFICATE_DAYS: i64 = 30;
/// Longest wait of an agent's poll for intents, in seconds.
pub const POLL_SECONDS_MAX: u64 = 60;
/// Intents in one answer to an agent.
pub const INTENTS_PAGE_MAX: i64 = 10_000;
/// Largest generation that an agent may speak of: there is room above it to go on counting.
pub const GENERATION_MAX: u64 = 1 << 53;
/// Lives in one report of an agent.
pub const REPORT_LIVES_MAX: usize = 10_000;
/// Connections of agents at once.
pub const AGENT_CONNECTIONS_MAX: usize = 4_096;
/// Time for a TLS handshake of an agent, in seconds.
pub const HANDSHAKE_SECONDS: u64 = 10;
/// Largest report of an agent, in bytes.
pub const REPORT_BYTES_MAX: usize = 8 << 20;
/// Records of which it is kept what was read out of them, for each thing that is read.
pub const KNOWN_RECORDS_MAX: usize = 512;
/// Write transactions that share one commit.
pub const GROUP_COMMIT_MAX: usize = 512;
/// Pages (4 KiB) by which the write-ahead log grows before it is taken into the database beside the writer.
pub const WAL_PAGES: i32 = 4_000;
/// Pages of the write-ahead log at which the writer takes in the rest itself, so that the log begins anew.
pub const WAL_PAGES_MAX: i32 = 16_000;
/// Writes that may wait for the writer before new ones are turned away.
pub const WRITE_QUEUE_MAX: usize = 10_000;
/// Times that a transaction is run again after a serialisation failure.
pub const CONTENTION_RETRIES_MAX: u32 = 20;
/// Items of one order, each piece of several counted.
pub const ORDER_ITEMS_MAX: usize = 50;
/// Pieces that one item of an order may ask for.
pub const ORDER_QUANTITY_MAX: i64 = 20;
/// Longest id of an order's item, in bytes.
pub const ORDER_ITEM_ID_MAX: usize = 64;
/// Longest name that a customer gives a product, in bytes.
pub const PRODUCT_NAME_MAX: usize = 256;
/// Characteristics of one specification.
pub const CHARACTERISTICS_MAX: usize = 100;
/// Longest name of a characteristic, in bytes.
pub const CHARACTERISTIC_NAME_MAX: usize = 128;
/// Largest value of a characteristic, in bytes of JSON.
pub const CHARACTERISTIC_BYTES_MAX: usize = 32 << 10;
/// Values of a characteristic that may have several.
pub const CHARACTERISTIC_VALUES_MAX: usize = 100;
/// Compiled size of a regular expression in a specification, in bytes.
pub const REGEX_BYTES_MAX: usize = 256 << 10;
/// Levels of services below a product.
pub const SPECIFICATION_DEPTH_MAX: usize = 6;
/// Services that one product is made of.
pub const DESIGN_SERVICES_MAX: usize = 32;
/// Specifications directly below another one.
pub const CHILD_SPECIFICATIONS_MAX: usize = 16;
/// Expressions kept compiled.
pub const EXPRESSIONS_CACHED_MAX: usize = 1_000;
/// Largest signed note that is read, in bytes: room for many signatures.
pub const NOTE_BYTES_MAX: usize = 1 << 20;
/// Places that the audit log is shipped to.
pub const AUDIT_PLACES_MAX: i64 = 16;
/// Audit entries that go to a place in one piece.
pub const SHIPPED_ENTRIES_MAX: usize = 2_000;
/// Audit entries that go to a webhook in one piece: below a megabyte.
pub const SHIPPED_TO_WEBHOOK_MAX: usize = 500;
/// Largest file of a proof that is read, in bytes.
pub const PROOF_BYTES_MAX: usize = 4 << 20;
/// Audit entries that one transaction of the sequencer takes in.
pub const AUDIT_BATCH_MAX: usize = 1_000;
/// Audit entries between two checkpoints at the most.
pub const AUDIT_CHECKPOINT_ENTRIES: i64 = 10_000;
/// Audit entries read at once by verification and export.
pub const AUDIT_READ_MAX: usize = 4_096;
/// Refusals of one actor, or of one address where nobody is known, that the audit log takes in a minute.
pub const REFUSALS_PER_MINUTE_MAX: u32 = 600;
/// Actors and addresses whose refusals are counted at one time.
pub const REFUSED_ACTORS_MAX: usize = 10_000;
/// Decisions kept in the cache.
pub const DECISIONS_CACHED_MAX: usize = 100_000;
/// Virtual processors of one machine.
pub const MACHINE_VCPUS_MAX: u32 = 512;
/// Memory of one machine, in MiB.
pub const MACHINE_MEMORY_MIB_MAX: u64 = 16 << 20;
/// Least memory of one machine, in MiB.
pub const MACHINE_MEMORY_MIB_MIN: u64 = 16;
/// Disks of one machine.
pub const MACHINE_DISKS_MAX: usize = 16;
/// Size of one disk, in MiB.
pub const DISK_MIB_MAX: u64 = 64 << 20;
/// Network interfaces of one machine.
pub const MACHINE_NETWORKS_MAX: usize = 8;
/// Forwarded ports of one network interface.
pub const FORWARDS_MAX: usize = 64;
/// Each document of a machine's seed, in bytes.
pub const SEED_BYTES_MAX: usize = 128 << 10;
/// Size of one image, in bytes.
pub const IMAGE_BYTES_MAX: u64 = 1 << 40;
/// Observations in one report of an agent.
pub const REPORT_OBSERVATIONS_MAX: usize = 500;
/// Open tasks of one host, and tasks in one report of an agent.
pub const HOST_TASKS_MAX: usize = 256;
/// Snapshots that one task names.
pub const TASK_SNAPSHOTS_MAX: usize = 256;
/// Recovery points that are marked at a time where the repository of their copies was found damaged or gone.
pub const LOST_POINTS_MAX: usize = 100;
/// Least delay between marking data in a repository of backups and removing it, in hours. The mark bears the
/// time at which its prune began; that may go on for a day, and a backup that began beside it for another.
pub const PRUNE_DELAY_HOURS_MIN: u32 = 49;
/// Most paths, patterns or databases that a data set names.
pub const DATA_SET_NAMES_MAX: usize = 64;
/// What came of a task, as JSON, in bytes.
pub const TASK_OUTCOME_BYTES_MAX: usize = 128 << 10;
/// Console requests in one answer to an agent.
pub const CONSOLE_REQUESTS_MAX: usize = 32;
/// Console output that is handed over at once, in bytes.
pub const CONSOLE_BYTES_MAX: u32 = 256 << 10;
/// How long an agent remembers that something must not exist, in hours.
pub const TOMBSTONE_HOURS: i64 = 24 * 90;
/// Usage entries of one meter that one bill takes.
pub const BILL_ENTRIES_MAX: usize = 100_000;
/// Accounts that one call of `bill.run` bills.
pub const BILL_RUN_ACCOUNTS_MAX: u32 = 200;
/// Longest CEL expression, in bytes.
pub const EXPRESSION_BYTES_MAX: usize = 1_024;
/// Most nodes in a CEL expression after its macros are expanded.
pub const EXPRESSION_NODES_MAX: usize = 256;
/// Deepest nesting of brackets, operators and members in a CEL expression.
pub const EXPRESSION_DEPTH_MAX: usize = 24;
/// Most entries in any one list or map that a CEL expression is given.
pub const EXPRESSION_ENTRIES_MAX: usize = 1_000;
/// Most evaluation steps that a CEL expression may cost, reckoned before it runs.
pub const EXPRESSION_COST_MAX: u64 = 200_000;
/// Steps of one flow.
pub const FLOW_STEPS_MAX: usize = 64;
/// Largest definition of a flow, in bytes of YAML or JSON.
pub const FLOW_DEFINITION_BYTES_MAX: usize = 256 << 10;
/// Largest input of a run, or output of a step, in bytes of JSON.
pub const FLOW_VALUE_BYTES_MAX: usize = 256 << 10;
/// Steps of a run that share one commit.
pub const FLOW_STEPS_PER_COMMIT: usize = 16;
/// Most attempts that a definition may ask for.
pub const FLOW_ATTEMPTS_MAX: u32 = 100;
/// Longest time that a step may take or wait.
pub const FLOW_STEP_SECONDS_MAX: u64 = 30 * 24 * 3_600;
/// Runs and jobs fetched by one look for due work.
pub const DUE_BATCH_MAX: usize = 1_000;
/// Runs of one subject that are listed with it.
pub const FLOW_RUNS_OF_SUBJECT_MAX: usize = 100;
/// Attempts before a job is dead, where its kind says nothing else.
pub const JOB_ATTEMPTS: u32 = 12;
/// Largest payload of a job, in bytes of JSON.
pub const JOB_PAYLOAD_BYTES_MAX: usize = 256 << 10;
/// Longest reason that a person can give, in bytes.
pub const REASON_BYTES_MAX: usize = 2_048;
/// Most work of an expression: reckoned steps times the longest text in bytes.
pub const EXPRESSION_WORK_MAX: u64 = 64 << 20;

/// Shortest password, in characters (NIST SP 800-63B asks for 8; without a second factor 15 or a list of refused ones).
pub const PASSWORD_CHARS_MIN: usize = 12;
/// Longest password, in bytes.
pub const PASSWORD_BYTES_MAX: usize = 256;
/// Most last passwords that a new one can be asked not to be.
pub const PASSWORD_HISTORY_MAX: u32 = 12;
/// Passwords that are hashed at one time; each takes 19 MiB.
pub const PASSWORD_HASHES_MAX: usize = 2;
/// Passwords that may wait to be hashed before sign-ins are turned away.
pub const PASSWORD_QUEUE_MAX: usize = 64;
/// Longest name of a person, a tenant or a token, in characters.
pub const NAME_CHARS_MAX: usize = 200;
/// Longest mail address, in bytes (RFC 5321).
pub const EMAIL_BYTES_MAX: usize = 254;
/// A session ends when it has not been used for so long, in seconds.
pub const SESSION_IDLE_SECONDS: i64 = 60 * 60;
/// A session ends so long after sign-in, used or not, in seconds.
pub const SESSION_SECONDS_MAX: i64 = 12 * 60 * 60;
/// How long a second factor that was shown counts for sensitive actions, in seconds.
pub const STEP_UP_SECONDS: i64 = 10 * 60;
/// How long somebody whose password was right may take to show their second factor, in seconds.
pub const SIGN_IN_SECONDS: i64 = 10 * 60;
/// Sign-ins of one account that wait for a second factor; the oldest ends when there would be more.
pub const SIGN_INS_PER_ACCOUNT_MAX: usize = 10;
/// Second factors of one account.
pub const FACTORS_PER_ACCOUNT_MAX: usize = 5;
/// How long a new second factor waits for its first code, in seconds.
pub const ENROLMENT_SECONDS: i64 = 60 * 60;
/// Recovery codes of a set.
pub const RECOVERY_CODES: usize = 10;
/// Sessions of one account; the oldest ends when there would be more.
pub const SESSIONS_PER_ACCOUNT_MAX: usize = 20;
/// API tokens of one account that are in force.
pub const TOKENS_PER_ACCOUNT_MAX: u64 = 50;
/// Longest life of an API token, in days.
pub const TOKEN_DAYS_MAX: u32 = 366;
/// Life of an API token when nobody asks for another, in days.
pub const TOKEN_DAYS_DEFAULT: u32 = 90;
/// Scopes of one API token.
pub const TOKEN_SCOPES_MAX: usize = 64;
/// Networks that one API token can be bound to.
pub const TOKEN_NETWORKS_MAX: usize = 32;
/// Service accounts at home in one tenant that have not left.
pub const SERVICE_ACCOUNTS_MAX: u64 = 200;
/// How long a key that was rotated works beside its successor at most, in hours.
pub const KEY_OVERLAP_HOURS_MAX: u32 = 7 * 24;
/// How long it does when nobody asks for another time, in hours.
pub const KEY_OVERLAP_HOURS_DEFAULT: u32 = 24;
/// Longest text about what a service account is for, in characters.
pub const PURPOSE_CHARS_MAX: usize = 1_000;
/// Identity providers of one tenant.
pub const PROVIDERS_PER_TENANT_MAX: usize = 10;
/// Requests that are under way at the identity providers of one tenant; each holds a thread.
pub const AT_PROVIDERS_PER_TENANT_MAX: usize = 8;
/// Requests that are under way at all identity providers.
pub const AT_PROVIDERS_MAX: usize = 64;
/// Domains of an identity provider; groups, roles and words in its settings.
pub const PROVIDER_ENTRIES_MAX: usize = 100;
/// Longest secret of a client at an identity provider, in bytes.
pub const CLIENT_SECRET_BYTES_MAX: usize = 1_024;
/// An invitation can be accepted for so long, in seconds.
pub const INVITATION_SECONDS: i64 = 7 * 24 * 60 * 60;
/// A link to set a new password works for so long, in seconds.
pub const RESET_SECONDS: i64 = 60 * 60;
/// A link for a new password is mailed to one account no more often than this, in seconds.
pub const RESET_MAILED_EVERY_SECONDS: i64 = 5 * 60;
/// Invitations of one tenant that wait for an answer.
pub const INVITATIONS_PENDING_MAX: u64 = 500;
/// Invitations that a customer and its departments may make in a day.
pub const INVITATIONS_PER_DAY_MAX: u64 = 500;
/// An invitation can be sent again so long after it was sent last, in seconds.
pub const INVITATION_RESENT_AFTER_SECONDS: u64 = 10 * 60;
/// Roles that one account may hold, over all tenants.
pub const ROLES_PER_ACCOUNT_MAX: u64 = 200;
/// Accounts and tenants whose standing is kept in memory.
pub const STANDINGS_CACHED_MAX: usize = 20_000;
/// What is known of a token or a session is read again after so long, in
/// milliseconds: how late another server of the same database may hear of a change.
pub const STANDING_AGE_MS_MAX: i64 = 3_000;
/// Wrong passwords from one address for one account before it has to wait.
pub const ATTEMPTS_PER_PAIR: i64 = 5;
/// Wrong passwords from one address for any account before it has to wait.
pub const ATTEMPTS_PER_ADDRESS: i64 = 30;
/// Wrong passwords for one account, from wherever it has not signed in lately, before those have to wait.
pub const ATTEMPTS_PER_ACCOUNT: i64 = 50;
/// The same for all accounts whose mail addresses have one domain.
pub const ATTEMPTS_PER_ORGANISATION: i64 = 300;
/// Longest wait of a whole organisation's people at places that are new for them, in seconds.
pub const ATTEMPTS_ORGANISATION_WAIT_SECONDS_MAX: i64 = 60;
/// Sign-ins at identity providers that begin at one address and come to nothing, before waits begin; an office has one.
pub const ATTEMPTS_AT_PROVIDERS: i64 = 300;
/// A network is known for so long after an account has signed in from there, in seconds.
pub const NETWORK_KNOWN_SECONDS: i64 = 90 * 24 * 60 * 60;
/// Networks of one account that are known; the oldest is forgotten when there would be more.
pub const NETWORKS_PER_ACCOUNT_MAX: u32 = 50;
/// Longest wait that wrong passwords earn, in seconds.
pub const ATTEMPTS_WAIT_SECONDS_MAX: i64 = 15 * 60;
/// Wrong passwords are forgotten after so long, in seconds.
pub const ATTEMPTS_KEPT_SECONDS: i64 = 24 * 60 * 60;
/// How long after its end a month is closed, in minutes: agents may still have news of it.
pub const MONTH_CLOSE_DELAY_MINUTES: u64 = 60;
/// How long the sending of one image may take, in seconds.
pub const UPLOAD_SECONDS_MAX: u64 = 6 * 60 * 60;
/// How long nothing may come while an image is sent, in seconds.
pub const UPLOAD_SILENCE_SECONDS: u64 = 60;
/// A submitted form of the portal, in bytes.
pub const FORM_BYTES_MAX: usize = 256 << 10;
/// How long one live page is served before it must ask anew, in seconds.
pub const LIVE_SECONDS_MAX: u64 = 600;
/// How often a live page looks for news, in milliseconds.
pub const LIVE_MILLISECONDS: u64 = 500;
/// Lives of one machine in one observation; an agent that was cut off for long tells the rest later.
pub const OBSERVATION_LIVES_MAX: usize = 100;
/// How old an agent's last word on a running machine may be before its use counts as unknown, in seconds.
pub const USAGE_LAG_SECONDS_MAX: i64 = 90;
/// How long facts are kept after what they told of.
pub const FACTS_DAYS: i64 = 90;
/// How long ended flow runs are kept with their journals.
pub const FLOW_RUNS_DAYS: i64 = 180;
/// Rows that one sweep takes away in one transaction.
pub const SWEEP_BATCH_MAX: usize = 1_000;
/// How long a host keeps an image that no machine on it is made from.
pub const IMAGE_UNUSED_DAYS: u64 = 7;
/// What is told of the answer to a machine's check, in bytes.
pub const CHECK_BODY_BYTES_MAX: usize = 4 << 10;
/// Nodes of one study of impact.
pub const IMPACT_NODES_MAX: usize = 100_000;
/// Things that a tenant may add to its inventory, or say something of.
pub const INVENTORY_ENTRIES_MAX: usize = 10_000;
/// Members of all needs that a tenant states in its inventory.
pub const INVENTORY_MEMBERS_MAX: usize = 50_000;
/// Services that a drill of a whole site brings back.
pub const DRILL_SITE_SERVICES_MAX: usize = 200;
/// For how long a data set that was brought back stays in the agent's own directory, in days, where nobody
/// takes it over.
pub const RESTORED_DAYS: u64 = 30;
/// Bytes that a drill of the platform itself leaves free on the disk of its data directory.
pub const DRILL_DISK_LEFT_BYTES: u64 = 512 << 20;
/// Needs of one thing in an inventory, and members of one need.
pub const INVENTORY_NEEDS_MAX: usize = 200;
/// Members of all needs of one study of impact.
pub const IMPACT_NEEDS_MAX: usize = 1_000_000;

/// Announcements that a list shows, the newest first.
pub const ANNOUNCEMENTS_SHOWN_MAX: u32 = 100;
/// Most people that one announcement is addressed to.
pub const ANNOUNCEMENT_READERS_MAX: usize = 5_000;
/// Longest text of an announcement.
pub const ANNOUNCEMENT_BYTES_MAX: usize = 10_000;
/// Bytes of one page of a directory that is looked into, as its host tells it.
pub const LISTING_BYTES_MAX: usize = 96 << 10;
/// Entries of such a page.
pub const LISTING_ENTRIES_MAX: usize = 500;
/// Longest path inside a recovery point, as text, in bytes.
pub const INSIDE_PATH_BYTES_MAX: usize = 8 << 10;
/// Names in such a path.
pub const INSIDE_DEPTH_MAX: usize = 128;
/// Longest name inside a recovery point, as text, in bytes: the longest name that file systems know, all of it escaped.
pub const INSIDE_NAME_BYTES_MAX: usize = 1 << 10;
/// Longest target of a symbolic link that is told, in bytes: no Linux system makes longer ones.
pub const LINK_BYTES_MAX: u64 = 4 << 10;
/// Largest file, or directory with all that is in it, that can be fetched from a recovery point.
pub const DOWNLOAD_BYTES_MAX: u64 = 2 << 30;
/// Files of one tenant that hosts fetch at a time.
pub const DOWNLOADS_OPEN_PER_TENANT_MAX: usize = 2;
/// Files of one tenant that are kept at a time, those included that hosts fetch still.
pub const DOWNLOADS_PER_TENANT_MAX: usize = 10;
/// Directories that hosts look into for one tenant at a time.
pub const LOOKS_OPEN_PER_TENANT_MAX: usize = 8;
/// Directories that one tenant looks into at a time, those included that were told a while ago.
pub const LOOKS_PER_TENANT_MAX: usize = 200;
/// How long what was read in a recovery point is kept: a listing, or a file that nobody fetched.
pub const READING_SECONDS: i64 = 60 * 60;
/// How long it is known who fetched which file from a recovery point, and when.
pub const FETCHED_DAYS: i64 = 400;
/// How long a host is given to tell what is in a directory.
pub const LOOK_SECONDS_MAX: i64 = 5 * 60;
/// Room that a file from a recovery point must leave on the server's disk, in bytes.
pub const DOWNLOAD_ROOM_LEFT: u64 = 1 << 30;

/// How long a request for a second person's approval waits, in seconds: three days, a weekend among them.
pub const APPROVAL_SECONDS: i64 = 72 * 60 * 60;
/// How long a right is held before it counts for approving, in seconds: a day in which others see that
/// it was given.
pub const APPROVAL_SETTLING_SECONDS: i64 = 24 * 60 * 60;
/// Requests for approval of one account that wait at a time.
pub const APPROVALS_WAITING_PER_ACCOUNT_MAX: u64 = 20;
/// Requests for approval of one account within a day: each is a mail to up to ten people.
pub const APPROVALS_PER_ACCOUNT_DAY_MAX: u64 = 100;
/// Requests for approval that are looked through for what somebody may decide.
pub const APPROVALS_WAITING_SHOWN_MAX: u32 = 200;
/// Longest reason of a request for approval, in characters.
pub const APPROVAL_REASON_CHARS_MAX: usize = 1_000;
/// Longest input that a second person can be asked to agree to, in bytes: they are to read it.
pub const APPROVAL_INPUT_BYTES_MAX: usize = 32 << 10;
/// Longest answer of an approved action that is kept for whoever asked for it, in bytes.
pub const APPROVAL_RESULT_BYTES_MAX: usize = 16 << 10;
/// Accounts that are looked through for who may approve.
pub const APPROVERS_LOOKED_AT_MAX: u32 = 200;
/// People who are told by mail of one request for approval.
pub const APPROVERS_TOLD_MAX: usize = 10;
/// Accounts that one tenant declares to be the same person as another.
pub const SAME_PERSONS_MAX: u32 = 500;
/// Refusals of one request that are looked at when somebody asks why.
pub const REFUSALS_EXPLAINED_MAX: usize = 50;
/// Accounts that one answer to "who can do this" looks at; behind them it says where to go on.
pub const HOLDERS_LOOKED_AT_MAX: usize = 200;
/// People who are named as those who can give a role that would help.
pub const GRANTORS_NAMED_MAX: usize = 5;
