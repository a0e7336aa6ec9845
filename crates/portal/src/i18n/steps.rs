//! The steps of flows, as people read them.

super::messages! {
    /// Names of steps.
    Steps {
        reserve: "選擇主機並保留容量", "Choose a host and reserve capacity";
        address: "配置位址與連接埠", "Assign address and port";
        machine: "建立並啟動機器", "Create and start the machine";
        wait: "確認服務有回應", "Wait until the service answers";
        activate: "啟用服務並開始計費", "Activate and start metering";
    }
}
