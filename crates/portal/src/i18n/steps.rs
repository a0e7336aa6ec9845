//! The steps of flows, as people read them.

super::messages! {
    /// Names of steps.
    Steps {
        decompose: "展開服務與資源", "Work out services and resources";
        reserve: "選擇主機並保留容量", "Choose a host and reserve capacity";
        address: "配置位址與連接埠", "Assign address and port";
        network: "建立網路", "Create the network";
        disk: "建立磁碟", "Create the disk";
        machine: "建立並啟動機器", "Create and start the machine";
        wait: "確認服務有回應", "Wait until the service answers";
        activate: "啟用服務並開始計費", "Activate and start metering";
        stop: "停止機器", "Stop the machine";
        remove: "移除機器與磁碟", "Remove machine and disks";
        release: "釋放容量與位址", "Release capacity and address";
        terminate: "終止服務", "Terminate the service";
        approve: "等待核准", "Wait for approval";
        notify: "通知", "Notify";
    }
}
