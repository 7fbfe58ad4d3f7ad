//! People who look at balances and conversions, again and again.

use crate::support::{
    http::{Answer, get},
    load::Traffic,
};

/// Reads of a partner's balances and of its newest conversions, in turn.
#[derive(Clone, Debug)]
pub(crate) struct Reads {
    requests: [Vec<u8>; 2],
    sent: usize,
}

impl Reads {
    /// Under a token.
    pub(crate) fn new(token: &str) -> Self {
        let headers = format!("Authorization: Bearer {token}\r\n");
        let paths = [
            "/v1/partners/p1/balances",
            "/v1/conversions?partner=p1&limit=10",
        ];
        Self {
            requests: paths.map(|path| get(path, &headers)),
            sent: 0,
        }
    }
}

impl Traffic for Reads {
    fn next(&mut self, request: &mut Vec<u8>) {
        request.clear();
        request.extend_from_slice(&self.requests[self.sent % self.requests.len()]);
        self.sent += 1;
    }

    fn check(&mut self, answer: &Answer<'_>) -> bool {
        answer.status == 200
    }
}
