//! The server's house in this process: its real wiring, policies, routes and
//! listener, with one operator and as many records as a measurement asks for.

use std::path::Path;

use access::Authenticator;
use access::operator::{INIT, InitOperator, Operator};
use base::Result;
use base::id::TenantId;
use base::time::Clock;
use db::Location;
use gate::{Actor, Cx};
use portal::Portal;
use server::app::{self, Folder};
use web::hub::HubSettings;
use web::{Settings, Web};

/// An installation in a folder of its own.
pub struct House {
    /// The house, nothing of it running.
    pub house: app::House,
    /// The operator and the first administrator's token.
    pub operator: Operator,
}

impl House {
    /// Makes an installation in `folder`.
    ///
    /// # Errors
    /// Where the folder cannot be used.
    pub fn new(folder: &Path) -> Result<House> {
        let database = Location::Directory(folder.to_owned());
        let gate = app::open_gate(&database, Clock::System)?;
        let tenant = TenantId::fresh(gate.ids(), gate.now());
        let cx = Cx::new(Actor::System("init"), tenant, db::records::Scope::All, Default::default());
        let folder = Folder::open(folder)?;
        let postman = access::Postman::new(
            drivers::mail::open(&format!("file://{}", folder.outbox().display()), "bench@localhost.localdomain")?,
            "",
        );
        let house = app::assemble(gate, &folder, &database, postman, "", HubSettings::default())?;
        let input = InitOperator {
            name: "Bench".to_owned(),
            email: "bench@localhost.localdomain".to_owned(),
            administrator: None,
            locale: None,
            time_zone: None,
            password: None,
            without_support: false,
        };
        let operator = INIT.run(&house.gate, &cx, input)?;
        Ok(House { house, operator })
    }

    /// The first administrator, acting in the operator.
    ///
    /// # Errors
    /// Those of the look-up.
    pub fn administrator(&self) -> Result<Cx> {
        Ok(Authenticator::new(self.house.gate.clone()).recognise(&self.operator.token, None)?.cx)
    }

    /// All routes, as the server has them, without limits on how often one may ask.
    pub fn router(&self) -> axum::Router {
        let authenticator = Authenticator::new(self.house.gate.clone());
        let settings = Settings { address_rate: 0, actor_rate: 0, ..Settings::default() };
        let web = Web::new(self.house.gate.clone(), authenticator.clone(), settings);
        let (gate, hub) = (self.house.gate.clone(), self.house.hub.clone());
        let (agents, images) = Default::default();
        let portal = Portal { gate, authenticator, hub, tls: false, agents, images };
        server::routes::router(&self.house, &web, portal)
    }
}
