//! The public API, as a program would use it.

use std::time::Duration;

use serde_json::Value as Json;

use crate::Outcome;

/// One server, one token.
#[derive(Clone)]
pub struct Api {
    agent: ureq::Agent,
    /// The server's address.
    pub url: String,
    /// The API token; empty to act as nobody.
    pub token: String,
}

/// An answer: status, headers that matter, body.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Header names in lower case with their values.
    pub headers: Vec<(String, String)>,
    /// The body; `Null` where it is not JSON.
    pub json: Json,
    /// The body as text.
    pub text: String,
}

impl Answer {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

impl Api {
    /// For that server and token.
    pub fn new(url: &str, token: &str) -> Self {
        let config =
            ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(Duration::from_secs(60)));
        let config = config.max_idle_age(Duration::from_secs(base::limits::IDLE_SECONDS_MAX));
        Api { agent: config.build().new_agent(), url: url.trim_end_matches('/').to_owned(), token: token.to_owned() }
    }

    /// The same server with another token.
    #[must_use]
    pub fn as_token(&self, token: &str) -> Self {
        Api { token: token.to_owned(), ..self.clone() }
    }

    /// Sends a request; every status is an answer.
    ///
    /// # Errors
    /// Where no answer came.
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&[u8]>) -> Outcome<Answer> {
        let mut request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.url));
        if !self.token.is_empty() {
            request = request.header("authorization", format!("Bearer {}", self.token));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut response = match body {
            Some(bytes) => self.agent.run(request.body(bytes)?)?,
            None => self.agent.run(request.body(())?)?,
        };
        let text = String::from_utf8_lossy(&response.body_mut().read_to_vec()?).into_owned();
        let headers = response
            .headers()
            .iter()
            .map(|(n, v)| (n.as_str().to_owned(), String::from_utf8_lossy(v.as_bytes()).into_owned()))
            .collect();
        Ok(Answer {
            status: response.status().as_u16(),
            headers,
            json: serde_json::from_str(&text).unwrap_or(Json::Null),
            text,
        })
    }

    /// GET that must succeed.
    ///
    /// # Errors
    /// Any status of 400 and above, with the server's own words.
    pub fn get(&self, path: &str) -> Outcome<Json> {
        expect("GET", path, self.send("GET", path, &[], None)?)
    }

    /// POST that must succeed.
    ///
    /// # Errors
    /// As [`Api::get`].
    pub fn post(&self, path: &str, body: &Json) -> Outcome<Json> {
        let bytes = serde_json::to_vec(body)?;
        expect("POST", path, self.send("POST", path, &[("content-type", "application/json")], Some(&bytes))?)
    }

    /// Merge patch that must succeed.
    ///
    /// # Errors
    /// As [`Api::get`].
    pub fn patch(&self, path: &str, body: &Json) -> Outcome<Json> {
        let bytes = serde_json::to_vec(body)?;
        expect(
            "PATCH",
            path,
            self.send("PATCH", path, &[("content-type", "application/merge-patch+json")], Some(&bytes))?,
        )
    }
}

fn expect(method: &str, path: &str, answer: Answer) -> Outcome<Json> {
    if answer.status < 400 {
        return Ok(answer.json);
    }
    Err(format!("{method} {path} was answered {}: {}", answer.status, answer.text).into())
}
