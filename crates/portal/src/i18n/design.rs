//! The page of the design system.

super::messages! {
    /// What the design page says about each component.
    Design {
        lead: "這個入口網站的色彩、字體與元件，都在這一頁，連同各種狀態。", "The portal's colours, type and components, on one page, with their states.";
        identity: "識別", "Identity";
        identity_body: "一筆畫成的雲，像絲線一樣繞回來打上一個結：「雲」是服務，「維」是繫住它的線。", "A cloud drawn with one thread that loops back and ends in a knot: 雲 is the cloud, 維 the thread that holds it.";
        colour: "色彩", "Colour";
        colour_body: "以水墨顏料命名：黛色行動、竹青安好、藤黃留意、硃砂示警。狀態從不只靠顏色，一定伴隨圖示與文字。", "Named after the pigments of ink painting. Colour never speaks alone: a sign and a word go with it.";
        type_: "字體", "Type";
        type_sample: "賣出的服務，救得回來 Brought back", "Brought back, and proven 救得回來";
        type_body: "使用系統字體，中文與西文各取其最佳。內文行高 1.6，一行不超過四十四個字。", "System fonts, the best that each machine has for Latin and Chinese. Lines are 1.6 high and no longer than is comfortable.";
        button: "按鈕", "Button";
        button_body: "每頁至多一個主要按鈕。會造成損失的動作用硃砂色，並先詢問。", "At most one main button on a page. What destroys is cinnabar and asks first.";
        field: "欄位", "Field";
        field_body: "標籤在上，提示在下；錯誤寫在欄位旁，說明怎麼修正，已輸入的內容保留。", "Label above, hint below it. An error stands at its field and says how to mend it; what was typed is kept.";
        summary: "錯誤摘要", "Error summary";
        badge: "狀態", "Status";
        badge_body: "用領域的詞彙：TM Forum 的狀態名稱。", "In the field's words: TM Forum's states.";
        notice: "訊息", "Notice";
        steps: "步驟進度", "Progress steps";
        steps_body: "訂單與流程共用。進行中的步驟會動，失敗的說明原因，復原的留下痕跡。", "Orders and flows share it. The present step moves, a failed one says why, an undone one leaves its trace.";
        meter: "用量條", "Meter";
        table: "表格", "Table";
        table_body: "在手機上變成卡片，欄位名稱跟著內容走。", "Becomes cards on a phone; each value takes its heading along.";
        nav: "導覽", "Navigation";
        empty: "空白狀態", "Empty state";
        loading: "載入中", "Loading";
        dialog: "對話框", "Dialog";
        dialog_body: "沒有 JavaScript 時，同一個問題會在獨立頁面上問。", "Without JavaScript the same question is asked on a page of its own.";
        kv: "鍵值清單", "Key-value list";
        sample_one: "官方網站", "Web site";
        sample_two: "測試機", "Test machine";
        sample_wrong: "請輸入 1 到 16 之間的數字", "Enter a number from 1 to 16";
        swatch_paper: "紙", "Paper"; swatch_surface: "面", "Surface"; swatch_sunken: "凹", "Sunken"; swatch_ink: "墨", "Ink"; swatch_ink_soft: "淡墨", "Soft ink"; swatch_line: "線", "Line";
        swatch_dai: "黛", "Dai, blue-black"; swatch_dai_soft: "淺黛", "Pale dai"; swatch_well: "竹青", "Bamboo"; swatch_care: "藤黃", "Gamboge"; swatch_danger: "硃砂", "Cinnabar"; swatch_info: "靛", "Indigo"; swatch_sun: "旭", "Sunrise";
        use_ground: "背景", "ground"; use_text: "文字", "text"; use_edge: "邊線", "edges"; use_act: "行動", "what acts"; use_well: "正常", "well"; use_care: "留意", "take care"; use_danger: "危險", "danger"; use_info: "資訊", "information"; use_mark: "標誌", "the mark";
    }
}
