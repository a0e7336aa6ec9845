//! The platform itself.

super::messages! {
    /// How the platform itself is kept and brought back.
    Platform {
        lead: "平台自己的資料庫、金鑰與映像檔也要救得回來，否則每一份備份都只是雜訊。", "The platform's own database, keys and images must come back first: without them every backup is noise.";
        none: "平台本身沒有備份", "The platform itself is not backed up";
        none_body: "選一個備份政策；它的存放處必須是儲存庫伺服器或物件儲存。", "Choose a backup policy; its places must be repository servers or buckets.";
        no_policies: "請先建立備份政策：yunwei backup policies add --help", "Make a backup policy first: yunwei backup policies add --help";
        policy: "備份政策", "Backup policy";
        policy_hint: "多久備份一次，就會少掉多久的資料。", "How often it runs is how much you would lose.";
        protect: "開始備份平台", "Back the platform up";
        kept: "平台從現在起依這個政策備份。", "The platform is backed up by this policy from now on.";
        loss: "現在遺失的話", "Lost if it happened now";
        loss_none: "還沒有任何一份副本可以救回平台。", "No copy could bring the platform back yet.";
        places: "存放處", "Places";
        next: "下一次", "Next";
        take: "立即備份", "Back up now";
        taken: "副本正在建立，每個存放處都會檢查。", "A copy is being made, and looked at in every place.";
        kit: "復原套件", "Recovery kit";
        kit_body: "記載副本放在哪裡，以主金鑰封存；沒有金鑰分持就打不開。請放在這台機器以外的地方。", "It says where the copies lie, sealed with the master key; without shares of that key it opens nothing. Keep it off this machine.";
        kit_old: "還沒有復原套件，或它已經過期", "There is no recovery kit, or it is out of date";
        kit_get: "下載復原套件", "Download the recovery kit";
        kit_made: "上次製作", "Made last";
        shares: "金鑰分持", "Shares of the master key";
        shares_body: "在伺服器主機上列印，交給不同的人保管；湊齊其中幾份才能還原主金鑰。", "Print them on the server's machine and give them to different people; only several together bring the key back.";
        back: "救回平台", "Bringing it back";
        back_body: "在空機器上安裝套件，帶著復原套件與足夠的分持：", "On an empty machine with the package, the kit and enough shares:";
        points: "副本", "Copies";
        points_empty: "還沒有副本", "No copies yet";
        points_empty_body: "到了政策的時間，或按下「立即備份」就會建立。", "One is made when the policy says so, or now if you ask.";
        of: "時間點", "Of";
        drills_none: "平台還沒有演練過", "The platform was never drilled";
        drills_none_body: "建立一份還原範圍為「平台本身」的演練計畫：副本會真的還原並啟動一次。", "Make a drill plan for the platform itself: a copy is then really brought back and started.";
    }
}
