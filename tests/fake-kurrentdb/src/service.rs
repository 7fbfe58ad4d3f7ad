//! The services of the fake: what a request asks for, and the fault that it meets.

use std::{pin::Pin, sync::Arc, time::Duration};

use futures_util::{Stream, stream};
use tonic::{Request, Response, Status, Streaming};

use crate::{
    AppendFault, ReadFault, State,
    kept::{APPEND_BYTES_MAX, Event, Outcome},
    lock,
    wire::{
        features::{Asked, SupportedMethods, server_features_server::ServerFeatures},
        streams::{
            self as wire, AppendAnswer, AppendRequest, ReadAnswer, ReadRequest,
            append_request::{self, options::Expected},
            read_answer, read_request,
            streams_server::Streams,
        },
    },
};

/// How much later an append is done that is done after its answer.
const LATER: Duration = Duration::from_millis(2);

#[derive(Clone, Debug)]
pub(crate) struct Service {
    state: Arc<State>,
}

impl Service {
    pub(crate) fn new(state: Arc<State>) -> Self {
        Self { state }
    }

    fn not_leader(&self) -> Status {
        let mut status = Status::not_found("Leader info available");
        let metadata = status.metadata_mut();
        metadata.insert("exception", "not-leader".parse().expect("ASCII"));
        // The only server there is: it may be asked again.
        let (host, port) = (self.state.address.ip(), self.state.address.port());
        let host = host.to_string().parse().expect("ASCII");
        metadata.insert("leader-endpoint-host", host);
        metadata.insert(
            "leader-endpoint-port",
            port.to_string().parse().expect("ASCII"),
        );
        status
    }
}

#[tonic::async_trait]
impl ServerFeatures for Service {
    async fn get_supported_methods(
        &self,
        _: Request<Asked>,
    ) -> Result<Response<SupportedMethods>, Status> {
        Ok(Response::new(SupportedMethods {
            event_store_server_version: "0.0.0".to_owned(),
        }))
    }
}

type Answers = Pin<Box<dyn Stream<Item = Result<ReadAnswer, Status>> + Send>>;

#[tonic::async_trait]
impl Streams for Service {
    type ReadStream = Answers;

    async fn append(
        &self,
        request: Request<Streaming<AppendRequest>>,
    ) -> Result<Response<AppendAnswer>, Status> {
        let (stream, expected, events) = take(request.into_inner()).await?;
        let state = Arc::clone(&self.state);
        let (name, wanted) = (stream.clone(), expected);
        let done = move || lock(&state.kept).append(&name, &wanted, events);
        let outcome = match self.state.append_fault() {
            AppendFault::None => done(),
            AppendFault::Lost => return Err(Status::unavailable("told to fail")),
            AppendFault::AnswerLost => {
                done();
                return Err(Status::unavailable("told to fail"));
            }
            AppendFault::DoneAborted => {
                done();
                return Err(Status::aborted("told to be late"));
            }
            AppendFault::LostAborted => return Err(Status::aborted("told to be late")),
            AppendFault::DoneLater => {
                tokio::spawn(async move {
                    tokio::time::sleep(LATER).await;
                    done();
                });
                return Err(Status::unavailable("told to fail"));
            }
            AppendFault::EmptyAnswer => {
                done();
                return Ok(Response::new(AppendAnswer::default()));
            }
            AppendFault::NotLeader => return Err(self.not_leader()),
            AppendFault::NoAnswer => std::future::pending().await,
        };
        let there = lock(&self.state.kept).stream(&stream).len() as u64;
        answer(outcome, there, &expected).map(Response::new)
    }

    async fn read(&self, request: Request<ReadRequest>) -> Result<Response<Answers>, Status> {
        let options = request.into_inner().options.unwrap_or_default();
        let Some(read_request::options::What::Stream(of)) = &options.what else {
            return Err(Status::unimplemented("the fake reads one stream at a time"));
        };
        let Some(read_request::options::HowMany::Count(count)) = options.how_many else {
            return Err(Status::unimplemented("the fake has no subscriptions"));
        };
        let name = name_of(of.stream.as_ref());
        let answers = answers(&self.state, &name, of, options.direction, count);
        let answers: Vec<Result<ReadAnswer, Status>> = match self.state.read_fault() {
            ReadFault::None => answers.into_iter().map(Ok).collect(),
            ReadFault::EndsEarly(events) => answers.into_iter().take(events).map(Ok).collect(),
            ReadFault::BreaksOff(events) => {
                let broken = Err(Status::unavailable("told to break off"));
                let read = answers.into_iter().take(events).map(Ok);
                read.chain([broken]).collect()
            }
            ReadFault::EmptyAnswer => vec![Ok(ReadAnswer::default())],
        };
        Ok(Response::new(Box::pin(stream::iter(answers))))
    }
}

async fn take(
    mut requests: Streaming<AppendRequest>,
) -> Result<(String, Expected, Vec<Event>), Status> {
    let first = requests
        .message()
        .await?
        .and_then(|request| request.content);
    let Some(append_request::Content::Options(options)) = first else {
        return Err(Status::invalid_argument("an append begins with options"));
    };
    let expected = options.expected.unwrap_or(Expected::Any(wire::Nothing {}));
    let mut events = Vec::new();
    while let Some(request) = requests.message().await? {
        let Some(append_request::Content::Proposed(proposed)) = request.content else {
            return Err(Status::invalid_argument("events follow the options"));
        };
        let id = match proposed.id.and_then(|id| id.value) {
            Some(wire::id::Value::Halves(halves)) => (halves.high, halves.low),
            _ => return Err(Status::invalid_argument("an event has an id")),
        };
        events.push(Event {
            id,
            metadata: proposed.metadata,
            own_metadata: proposed.own_metadata,
            data: proposed.data,
            commit: 0,
        });
    }
    Ok((name_of(options.stream.as_ref()), expected, events))
}

fn answer(outcome: Outcome, there: u64, expected: &Expected) -> Result<AppendAnswer, Status> {
    use wire::append_answer::{Conflict, Done, Result as Kind, conflict, done};
    let result = match outcome {
        Outcome::TooLarge => {
            let what = format!("Maximum Append Size of {APPEND_BYTES_MAX} Exceeded.");
            return Err(Status::invalid_argument(what));
        }
        Outcome::Done => Kind::Done(Done {
            current: Some(done::Current::Revision(there.saturating_sub(1))),
            at: Some(done::At::Place(wire::Place {
                commit: there,
                prepare: there,
            })),
        }),
        Outcome::Conflict => {
            let current = match there.checked_sub(1) {
                Some(revision) => conflict::Current::CurrentRevision(revision),
                None => conflict::Current::CurrentNoStream(wire::Nothing {}),
            };
            let expected = match *expected {
                Expected::Revision(revision) => conflict::Expected::ExpectedRevision(revision),
                Expected::NoStream(nothing) => conflict::Expected::ExpectedNoStream(nothing),
                Expected::Any(nothing) => conflict::Expected::ExpectedAny(nothing),
                Expected::StreamExists(nothing) => {
                    conflict::Expected::ExpectedStreamExists(nothing)
                }
            };
            Kind::Conflict(Conflict {
                current: Some(current),
                expected: Some(expected),
            })
        }
    };
    Ok(AppendAnswer {
        result: Some(result),
    })
}

/// All of what a read is answered.
fn answers(
    state: &State,
    name: &str,
    of: &read_request::Of,
    direction: u32,
    count: u64,
) -> Vec<ReadAnswer> {
    use read_answer::Content;
    let kept = lock(&state.kept);
    let events = kept.stream(name);
    if events.is_empty() {
        let stream = of.stream.clone();
        let content = Content::NotFound(read_answer::NotFound { stream });
        return vec![ReadAnswer {
            content: Some(content),
        }];
    }
    let place = |revision: u64| {
        usize::try_from(revision)
            .unwrap_or(usize::MAX)
            .min(events.len())
    };
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let numbered = || (0_u64..).zip(events);
    let read: Vec<(u64, &Event)> = match (&of.from, direction) {
        (Some(read_request::of::From::Revision(from)), 0) => {
            numbered().skip(place(*from)).take(count).collect()
        }
        (_, 0) => numbered().take(count).collect(),
        (from, _) => {
            let end = match from {
                Some(read_request::of::From::Revision(from)) => place(from.saturating_add(1)),
                _ => events.len(),
            };
            let start = end.saturating_sub(count);
            let mut read: Vec<_> = numbered().skip(start).take(end - start).collect();
            read.reverse();
            read
        }
    };
    let read = read
        .into_iter()
        .map(|(revision, event)| Content::Event(recorded(name, revision, event)));
    let last = Content::LastRevision(events.len() as u64 - 1);
    read.chain([last])
        .map(|content| ReadAnswer {
            content: Some(content),
        })
        .collect()
}

fn recorded(name: &str, revision: u64, event: &Event) -> read_answer::Event {
    let (high, low) = event.id;
    let recorded = read_answer::Recorded {
        id: Some(wire::Id {
            value: Some(wire::id::Value::Halves(wire::id::Halves { high, low })),
        }),
        stream: Some(wire::Stream {
            name: name.as_bytes().to_vec(),
        }),
        revision,
        prepare: event.commit,
        commit: event.commit,
        metadata: event.metadata.clone(),
        own_metadata: event.own_metadata.clone(),
        data: event.data.clone(),
    };
    read_answer::Event {
        event: Some(recorded),
        position: Some(read_answer::event::Position::Commit(event.commit)),
    }
}

fn name_of(stream: Option<&wire::Stream>) -> String {
    let name = stream.map(|stream| &stream.name[..]).unwrap_or_default();
    String::from_utf8_lossy(name).into_owned()
}
