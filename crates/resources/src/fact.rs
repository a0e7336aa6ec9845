//! What happens among resources.

/// What happened, by id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// A host was let in.
    HostEnrolled {
        /// The host, as text.
        host: String,
    },
    /// A host went to another state, or what it is has changed.
    HostChanged {
        /// The host, as text.
        host: String,
    },
    /// A host has not been heard of for a while: what runs there is unknown.
    HostSilent {
        /// The host, as text.
        host: String,
    },
    /// A host that was silent has spoken.
    HostReturned {
        /// The host, as text.
        host: String,
    },
    /// A host reports machines that no intent explains.
    OrphansObserved {
        /// The host, as text.
        host: String,
    },
    /// Something about a machine was seen to be different: wake `intent:<id>`.
    MachineObserved {
        /// The intent.
        intent: String,
        /// The service that it is part of.
        service: String,
    },
    /// A life of a machine began, went on or ended.
    LifeObserved {
        /// The intent.
        intent: String,
        /// Which of its lives.
        seq: i64,
        /// The service that it is part of.
        service: String,
    },
    /// A machine is gone and what it held is free again.
    MachineFreed {
        /// The intent.
        intent: String,
        /// The service that it was part of.
        service: String,
    },
    /// The end of a console has arrived.
    ConsoleCaptured {
        /// The intent.
        intent: String,
    },
    /// A host task succeeded or failed: wake `task:<id>`.
    HostTaskEnded {
        /// The task.
        task: String,
        /// The kind of what it was done for.
        subject_kind: String,
        /// What it was done for.
        subject_id: String,
    },
}

impl gate::Fact for Fact {
    fn name(&self) -> &'static str {
        match self {
            Fact::HostEnrolled { .. } => "HostEnrolled",
            Fact::HostChanged { .. } => "HostChanged",
            Fact::HostSilent { .. } => "HostSilent",
            Fact::HostReturned { .. } => "HostReturned",
            Fact::OrphansObserved { .. } => "OrphansObserved",
            Fact::MachineObserved { .. } => "MachineObserved",
            Fact::LifeObserved { .. } => "LifeObserved",
            Fact::MachineFreed { .. } => "MachineFreed",
            Fact::ConsoleCaptured { .. } => "ConsoleCaptured",
            Fact::HostTaskEnded { .. } => "HostTaskEnded",
        }
    }

    fn object(&self) -> (&str, &str) {
        match self {
            Fact::HostEnrolled { host }
            | Fact::HostChanged { host }
            | Fact::HostSilent { host }
            | Fact::HostReturned { host }
            | Fact::OrphansObserved { host } => ("host", host),
            Fact::MachineObserved { intent, .. }
            | Fact::LifeObserved { intent, .. }
            | Fact::MachineFreed { intent, .. }
            | Fact::ConsoleCaptured { intent } => ("intent", intent),
            Fact::HostTaskEnded { task, .. } => ("hostTask", task),
        }
    }

    fn revision(&self) -> i64 {
        match self {
            Fact::LifeObserved { seq, .. } => *seq,
            _ => 0,
        }
    }

    // Every running machine grows older with each report; what is known of its lives is in `lives`.
    fn is_kept(&self) -> bool {
        !matches!(self, Fact::LifeObserved { .. })
    }
}
