//! Events to a server, over HTTP.

use std::fmt;
use std::io::Read;
use std::thread;
use std::time::Duration;

/// Answers of a server that has not taken the event yet, but may.
const AGAIN: [u16; 4] = [500, 502, 503, 504];
/// So much of an answer is told.
const TOLD: u64 = 200;

/// A server that takes events by `POST`, each as the body of a request.
///
/// An answer of 500, 502, 503 or 504 is asked again: after 0.3 s, then after twice as long each time. Nothing else is, so a
/// server that is not there costs no time.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct Http {
    /// Its address, such as `http://localhost:5000`.
    pub url: String,
    /// The path below the address: `api/v1/lineage`.
    pub endpoint: String,
    /// How long a request may take, and how long a run waits for the server at its end: 5 seconds.
    pub timeout: Duration,
    /// How often it is asked again: 5.
    pub retries: u32,
    /// The key that is sent as a bearer token.
    pub api_key: Option<String>,
    /// Further headers.
    pub headers: Vec<(String, String)>,
}

impl Http {
    /// The server at an address, without a key.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            endpoint: "api/v1/lineage".to_owned(),
            timeout: Duration::from_secs(5),
            retries: 5,
            api_key: None,
            headers: Vec::new(),
        }
    }

    /// What stands in the way of using the address.
    pub(super) fn fault(&self) -> Option<String> {
        if self.url.starts_with("http://") || cfg!(feature = "https") && self.url.starts_with("https://") {
            return None;
        }
        let why = if self.url.starts_with("https://") {
            "HTTPS is not built in: build with `--features https`"
        } else {
            "the address must begin with http:// or https://"
        };
        Some(format!("{}: {why}", self.shown()))
    }

    /// The address for messages, without a name and password.
    pub(super) fn shown(&self) -> String {
        match self.url.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.split_once('@')?))) {
            Some((scheme, (user, rest))) if !user.contains('/') => format!("{scheme}://{rest}"),
            _ => self.url.clone(),
        }
    }

    /// Sends a body, or says why it cannot.
    pub(super) fn post(&self, body: &str) -> Result<(), String> {
        let config = ureq::Agent::config_builder().timeout_global(Some(self.timeout)).http_status_as_error(false);
        let agent: ureq::Agent = config.build().into();
        let address = format!("{}/{}", self.url.trim_end_matches('/'), self.endpoint.trim_start_matches('/'));
        let mut pause = Duration::from_millis(300);
        for attempt in 0.. {
            let mut request = agent.post(&address).content_type("application/json");
            if let Some(key) = &self.api_key {
                request = request.header("Authorization", format!("Bearer {key}"));
            }
            for (name, value) in &self.headers {
                request = request.header(name, value);
            }
            let mut answer = request.send(body).map_err(|e| reason(&e))?;
            let status = answer.status();
            if status.is_success() {
                return Ok(());
            }
            if attempt == self.retries || !AGAIN.contains(&status.as_u16()) {
                let mut told = Vec::new();
                // An answer that breaks off is told as far as it came.
                let _ = answer.body_mut().as_reader().take(TOLD).read_to_end(&mut told);
                let told = String::from_utf8_lossy(&told).split_whitespace().collect::<Vec<_>>().join(" ");
                let after = if attempt > 0 { format!(" after {} attempts", attempt + 1) } else { String::new() };
                return Err(format!("it answered {status}{after}. {told}").trim_end_matches([' ', '.']).to_owned());
            }
            thread::sleep(pause);
            pause *= 2;
        }
        Ok(())
    }
}

/// The error in words, with its cause.
fn reason(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Io(source) => source.to_string(),
        ureq::Error::Timeout(_) => "it did not answer in time".to_owned(),
        ureq::Error::HostNotFound => "there is no such host".to_owned(),
        ureq::Error::ConnectionFailed => "the connection failed".to_owned(),
        other => other.to_string(),
    }
}

impl fmt::Debug for Http {
    /// Without the key and the headers, which may have secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").field("url", &self.shown()).field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_no_password() {
        let http = Http { api_key: Some("secret".to_owned()), ..Http::new("http://me:secret@host/a@b") };
        assert_eq!(http.shown(), "http://host/a@b");
        assert!(!format!("{http:?}").contains("secret"));
        assert_eq!(Http::new("http://host/a@b").shown(), "http://host/a@b");
    }

    #[test]
    fn addresses_that_cannot_be_used_are_told() {
        assert_eq!(Http::new("http://host").fault(), None);
        assert!(Http::new("ftp://host").fault().unwrap().contains("must begin with"));
        let https = Http::new("https://host").fault();
        assert_eq!(https.is_none(), cfg!(feature = "https"), "{https:?}");
    }
}
