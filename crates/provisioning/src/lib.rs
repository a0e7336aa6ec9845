//! The `provisioning` room of Yunwei.
