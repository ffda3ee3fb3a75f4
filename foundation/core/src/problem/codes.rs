//! The table of problem codes: data, not code. A new row wants a page `docs/errors/MG-nnnn.md` (`xtask tidy` looks).

use std::fmt;

use super::{Blame, Retry};

/// The family of a problem, which decides its look in each binding (A2A 1.0 §5.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The payload is not JSON.
    Parse,
    /// The payload is not a request.
    Request,
    /// There is no such method.
    Method,
    /// A member of the request is wrong.
    Params,
    /// Something broke inside.
    Internal,
    /// No such task for this caller.
    TaskNotFound,
    /// The task is already over.
    TaskNotCancelable,
    /// Push notifications are not offered.
    PushNotificationNotSupported,
    /// The operation is not offered here, or not in this state.
    UnsupportedOperation,
    /// A media type that is not understood.
    ContentTypeNotSupported,
    /// The agent answered something that is not A2A.
    InvalidAgentResponse,
    /// There is no extended card.
    ExtendedAgentCardNotConfigured,
    /// The agent demands an extension that the caller did not declare.
    ExtensionSupportRequired,
    /// The protocol version is not spoken.
    VersionNotSupported,
    /// Who are you?
    Unauthenticated,
    /// You may not.
    Forbidden,
    /// There is no such thing here (paths, agents, entries).
    NotFound,
    /// The path exists, the HTTP method does not fit it.
    MethodNotAllowed,
    /// It stands against what is there.
    Conflict,
    /// Over a limit of size.
    TooLarge,
    /// Too much at once; come back later.
    Overloaded,
    /// The agent cannot be reached.
    Unavailable,
    /// Nobody answered in time.
    Timeout,
}

macro_rules! codes {
    ($($name:ident = $number:literal, $kind:ident, $blame:ident, $retry:expr, $title:literal, $hint:literal;)*) => {
        /// A stable code, printed as `MG-nnnn`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Code {
            $(#[doc = $title] $name = $number,)*
        }

        impl Code {
            /// Every code there is, in order.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The family.
            pub fn kind(self) -> Kind {
                match self { $(Self::$name => Kind::$kind,)* }
            }

            /// Whose fault it usually is.
            pub fn blame(self) -> Blame {
                match self { $(Self::$name => Blame::$blame,)* }
            }

            /// Whether trying again usually helps.
            pub fn retry(self) -> Retry {
                match self { $(Self::$name => $retry,)* }
            }

            /// One line that names the problem.
            pub fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }

            /// What to do about it.
            pub fn hint(self) -> &'static str {
                match self { $(Self::$name => $hint,)* }
            }
        }
    };
}

const NEVER: Retry = Retry::Never;
const ELSEWHERE: Retry = Retry::Elsewhere;
const LATER: Retry = Retry::Later(None);

codes! {
    // 01xx: configuration and command line
    ConfigUnreadable = 101, Internal, Caller, NEVER, "the configuration file cannot be read", "check the path and its permissions, or write one with `moongate init`";
    ConfigSyntax = 102, Internal, Caller, NEVER, "the configuration is not valid TOML", "mend the line that the message points to";
    ConfigUnknownKey = 103, Internal, Caller, NEVER, "the configuration has a key that does not exist", "remove it or correct its spelling; `moongate init` writes a file with every key explained";
    ConfigWrongValue = 104, Internal, Caller, NEVER, "a value in the configuration has the wrong type or range", "see the comment above that key in the file that `moongate init` writes";
    ConfigDanglingName = 105, Internal, Caller, NEVER, "the configuration refers to something that it does not define", "define it or correct the name";
    ConfigSecret = 106, Internal, Caller, NEVER, "a secret named by the configuration cannot be read", "set the environment variable, or make the file exist and readable for this account";
    ConfigUnsafeListener = 107, Internal, Caller, NEVER, "a listener would serve strangers unprotected", "bind plain listeners to 127.0.0.1 or [::1] only";
    ConfigRule = 108, Internal, Caller, NEVER, "a rule in the configuration is not valid CEL", "see docs/reference/rules.md for the names that rules may read";
    ConfigDuplicate = 109, Internal, Caller, NEVER, "a name is defined twice", "give each entry a name of its own";
    ListenFailed = 110, Internal, Gateway, NEVER, "a listener cannot be opened", "another program may hold the address: choose another one in [listen]";
    GatewayUnreachable = 111, Unavailable, Caller, LATER, "no running gateway answers at the configured address", "start it with `moongate run`, or name its configuration with --config";
    FileExists = 112, Conflict, Caller, NEVER, "a file would be overwritten", "move it away, or choose another path";
    CommandFailed = 113, Internal, Caller, NEVER, "the gateway refused what the command asked for", "read the message above; it is the gateway's own";
    KeyUnusable = 114, Internal, Gateway, NEVER, "a key, certificate or secret file cannot be used", "see the file that the message names: it must be whole, belong to this account and, if it holds a secret, have mode 0600";

    // 02xx: the request as such
    BodyNotJson = 201, Parse, Caller, NEVER, "the body is not valid JSON", "send one JSON object in UTF-8";
    BodyNotUtf8 = 202, Parse, Caller, NEVER, "the body is not valid UTF-8", "encode the body as UTF-8";
    DuplicateKey = 203, Request, Caller, NEVER, "a JSON object has the same member twice", "send each member once, in one spelling";
    TooDeep = 204, Request, Caller, NEVER, "the JSON is nested too deeply", "flatten the data; the limit is `limits.json_depth`";
    BodyTooLarge = 205, TooLarge, Caller, NEVER, "the body is too large", "send a smaller one, or pass files by URL; the limit is `limits.body_bytes`";
    NotARequest = 206, Request, Caller, NEVER, "the body is not a JSON-RPC request", "send {\"jsonrpc\":\"2.0\",\"id\":…,\"method\":…,\"params\":{…}}";
    BatchRefused = 207, Request, Caller, NEVER, "JSON-RPC batches are not part of A2A", "send one request at a time";
    UnknownMethod = 208, Method, Caller, NEVER, "there is no such method", "see A2A 1.0 §9 for the methods; their names are those of the gRPC service";
    InvalidParams = 209, Params, Caller, NEVER, "a member of the request is wrong", "see the field that the error names";
    UnsupportedContentType = 210, ContentTypeNotSupported, Caller, NEVER, "the content type is not understood", "send application/json or application/a2a+json";
    UnsupportedVersion = 211, VersionNotSupported, Caller, NEVER, "the A2A version is not spoken here", "send the header A2A-Version: 1.0, or 0.3";
    ExtensionRequired = 212, ExtensionSupportRequired, Caller, NEVER, "the agent demands an extension", "declare it in the header A2A-Extensions";
    NoSuchPath = 213, NotFound, Caller, NEVER, "there is nothing at this path", "see the agent card for the addresses that exist";
    HttpMethodNotAllowed = 214, MethodNotAllowed, Caller, NEVER, "the HTTP method does not fit this path", "see A2A 1.0 §11 for the method of each path";
    MalformedFrame = 215, Request, Caller, NEVER, "a gRPC frame is malformed", "send one uncompressed length-prefixed message";
    TooManyParts = 217, Params, Caller, NEVER, "the message has too many parts", "split it; the limit is `limits.parts`";
    DeadlineExceeded = 218, Timeout, Caller, LATER, "the request took longer than its deadline", "ask for `returnImmediately` and follow the task, or raise `limits.request_seconds`";
    HandshakeRefused = 219, Request, Caller, NEVER, "the WebSocket handshake cannot be accepted", "open it over HTTP/1.1 with the subprotocol a2a.v1.jsonrpc";

    // 03xx: routing
    NoSuchAgent = 301, NotFound, Caller, NEVER, "there is no such agent", "see /.well-known/agent-card.json for the skills on offer";
    NoSkill = 302, Params, Caller, NEVER, "no skill fits the request", "name a skill id, or word the request as the skill's examples are worded";
    NoAgents = 303, Unavailable, Gateway, LATER, "no agent is registered", "add one with `moongate agents add URL`";
    NoInstance = 304, Unavailable, Target, LATER, "no instance of the agent can be reached", "look at `moongate agents list`; the instance is down or ejected";
    ContradictingRoute = 305, Params, Caller, NEVER, "the request names two different skills or agents", "name each once";
    TaskElsewhere = 306, Params, Caller, NEVER, "the task and the context do not belong together", "send the context id that the task reports";
    Circle = 307, Params, Caller, NEVER, "the request goes in a circle", "an agent that is registered here leads back here: look at `moongate agents list`";

    // 04xx: identity and rights
    Unauthenticated = 401, Unauthenticated, Caller, NEVER, "the caller is not known", "send a credential that this gateway accepts";
    Forbidden = 403, Forbidden, Caller, NEVER, "the caller may not do this", "ask the operator for the scope that the error names";
    Unconfirmed = 404, Forbidden, Caller, NEVER, "the operation wants a person's confirmation", "send it as a message that begins a task: that waits until a person says yes";
    EgressRefused = 405, Params, Caller, NEVER, "the address may not be called from here", "use https on port 443 or 8443 to a public address, or add the range to [egress] allow";
    IssuerUnreachable = 406, Unavailable, Gateway, LATER, "the keys of the token's issuer cannot be fetched", "come back later; operators: check the issuer's `jwks`";
    InsufficientScope = 407, Forbidden, Caller, NEVER, "the caller's scopes do not reach so far", "get a token with the scope that the error names";
    ForeignWithoutCertificate = 408, Forbidden, Caller, NEVER, "callers of another domain need a client certificate", "open the connection with a certificate of your domain";

    CrlRefused = 412, Internal, Target, LATER, "a certificate revocation list was refused", "ask whoever publishes it; the list at hand stays in force";
    CrlUnavailable = 413, Unavailable, Target, LATER, "a certificate revocation list cannot be read", "check the file or the address; the list at hand stays in force";
    NotIssued = 414, NotFound, Caller, NEVER, "no such certificate was issued here", "see `moongate ca list`";
    CertificateRefused = 415, Params, Caller, NEVER, "such a certificate is not issued", "correct what the message names; see `moongate ca issue --help`";
    CardSignature = 416, Params, Target, NEVER, "the signature of an agent's card is missing or does not hold", "see the agent's `signature` and `jwks` in the configuration, and ask its maker which key signs the card";
    CardKeysUnreachable = 417, Unavailable, Target, LATER, "the keys that an agent's card is signed with cannot be fetched", "check the agent's `jwks`, or the address that its card's signature names (jku)";
    CredentialUnavailable = 418, Unavailable, Gateway, LATER, "the gateway has no credential for the agent", "come back later; operators: check `auth` in the agent's entry, and the log";
    RateLimited = 419, Overloaded, Caller, LATER, "the caller sends too many requests", "come again after the time that Retry-After names; the limits are `limits.*_requests_per_second`";
    DeviceCodeUnknown = 420, NotFound, Caller, NEVER, "nobody waits for this code", "look at the device again: codes last some minutes, and are good for one answer";
    TooManyGuesses = 421, Overloaded, Caller, LATER, "too many wrong codes were typed", "come back in a minute";
    AuthorizationRefused = 422, Params, Caller, NEVER, "the program's request for authorization is not valid", "tell whoever runs the program; operators: compare it with `moongate clients show`";
    NoSuchClient = 423, NotFound, Caller, NEVER, "there is no such client", "list them with `moongate clients list`";
    ClientExists = 424, Conflict, Caller, NEVER, "a client of this id exists", "choose another id; ids are given once";
    OauthOff = 425, NotFound, Caller, NEVER, "the authorization server is off", "turn it on with `[oauth]` in the configuration";

    // 043x: people
    SignInRefused = 430, Unauthenticated, Caller, NEVER, "the sign-in failed", "try again, or ask the operator for a new link (`moongate users invite NAME`)";
    TooManyAttempts = 431, Overloaded, Caller, LATER, "too many attempts to sign in", "wait as long as the message says; a passkey is not slowed down";
    PasswordRefused = 432, Params, Caller, NEVER, "the password does not keep the rules", "choose one of at least 12 characters; a sentence is a good one";
    NoSuchUser = 433, NotFound, Caller, NEVER, "there is no such user", "list them with `moongate users list`";
    UserExists = 434, Conflict, Caller, NEVER, "there is a user of that name already", "choose another name, or invite that user again with `moongate users invite NAME`";
    InvitationSpent = 435, NotFound, Caller, NEVER, "the sign-up link works no longer", "ask the operator for a new one; it works once, for fifteen minutes";
    FormRefused = 436, Forbidden, Caller, NEVER, "the form was not sent from its own page", "open the page again and send the form from there";
    PasskeyRefused = 437, Params, Caller, NEVER, "the passkey does not hold", "open the page again and try once more, or sign in with the password";

    // 0438 to 0440: tokens that are fetched for a caller
    NoSubject = 438, Forbidden, Caller, NEVER, "the agent wants a token for its caller, and there is nothing to get one for", "call with an access token; operators: see `subject` in the agent's `auth.exchange`";
    ExchangeRefused = 439, Forbidden, Caller, NEVER, "the agent's authorization server gives no token for the caller", "ask whoever runs that server whether it knows the caller and trusts the token's issuer";
    ExchangeWidened = 440, InvalidAgentResponse, Target, NEVER, "the agent's authorization server gave more than was asked, or something else", "operators: compare `auth.exchange` with what that server is set to give";

    // 046x: people decide
    NoSuchQuestion = 460, NotFound, Caller, NEVER, "there is no such question", "list those that wait with `moongate approve`, those that are over with `… list --past`, yeses that are remembered with `… remembered`";
    QuestionDecided = 461, Conflict, Caller, NEVER, "the question is not open any more", "`moongate approve show ID` says who answered it; whoever wants it carried out after all asks again";
    NotYoursToDecide = 462, Forbidden, Caller, NEVER, "this answer does not count", "somebody else must decide, or by other means; the message says which";
    TooManyQuestions = 463, Overloaded, Caller, LATER, "too many questions wait for people", "wait until those that are open are answered; nobody is asked without end";
    NotTold = 464, Unavailable, Gateway, LATER, "a channel did not take the news that a person is asked", "see the channel's address and credentials in `[[notify]]`; it is tried again until the question runs out";
    PushOff = 465, Conflict, Caller, NEVER, "no browser is told, as push is off", "the operator turns it on with a `[[notify]]` of the kind \"push\"";
    SubscriptionRefused = 466, Params, Caller, NEVER, "this browser cannot be told", "see what the message says of its push service; the operator names those that are accepted in `services`";
    NoSuchSubscription = 467, NotFound, Caller, NEVER, "there is no such subscription", "see those that there are with GET /api/v1/push";

    // 047x: the console, and watching
    LinkSpent = 470, Forbidden, Caller, NEVER, "the link into the console works no longer", "ask for a new one with `moongate console`";
    ConsoleOff = 471, NotFound, Caller, NEVER, "the console is not served", "give the admin listener an address: `admin` in `[listen]`";
    LogBusy = 472, Overloaded, Caller, LATER, "the log is being read for somebody else", "come back in a moment; whoever is at the machine can use `moongate audit`";
    TooManyWatchers = 476, Overloaded, Gateway, LATER, "too many watch what happens", "end a `moongate tap` or `moongate top` that nobody looks at, or close a page of the console";

    // 05xx: the agent
    AgentUnreachable = 501, Unavailable, Target, ELSEWHERE, "the agent cannot be reached", "check that it runs; the gateway keeps probing it";
    AgentTimeout = 502, Timeout, Target, LATER, "the agent did not answer in time", "ask for `returnImmediately`, or raise the agent's `timeout_seconds`";
    AgentClosed = 503, Unavailable, Target, LATER, "the agent closed the connection in the middle of its answer", "get the task to see what became of it";
    AgentGarbage = 504, InvalidAgentResponse, Target, NEVER, "the agent's answer is not A2A", "tell the agent's maker; the gateway's log has more";
    AgentOverloaded = 505, Overloaded, Target, LATER, "the agent is overloaded", "come back later";
    AgentFailed = 506, Internal, Target, NEVER, "the agent reported an error", "the message is the agent's own";
    AgentRefusedUs = 507, InvalidAgentResponse, Target, NEVER, "the agent did not accept the gateway's credential", "check the agent's credential in the configuration";
    AgentAnswerTooLarge = 508, InvalidAgentResponse, Target, NEVER, "the agent's answer is too large", "the limit is `limits.answer_bytes`";

    // 06xx: tasks
    TaskNotFound = 601, TaskNotFound, Caller, NEVER, "there is no such task", "check the id; finished tasks are kept for a limited time";
    TaskNotCancelable = 602, TaskNotCancelable, Caller, NEVER, "the task is already over", "nothing is left to cancel";
    TaskOver = 603, UnsupportedOperation, Caller, NEVER, "the task is already over", "start a new task, with this one in `referenceTaskIds`";
    PushNotOffered = 604, PushNotificationNotSupported, Caller, NEVER, "the agent offers no push notifications", "stream, subscribe or poll instead";
    NotOffered = 605, UnsupportedOperation, Caller, NEVER, "the agent does not offer this", "see the capabilities in its card";
    ExtendedCardNotOffered = 606, ExtendedAgentCardNotConfigured, Caller, NEVER, "there is no extended card", "use the public card";
    PushConfigNotFound = 607, TaskNotFound, Caller, NEVER, "there is no such push notification config", "list the task's configs";
    TooManyStreams = 608, Overloaded, Caller, LATER, "too many streams are open", "close some; the limit is `limits.streams`";
    KeyReused = 609, Conflict, Caller, NEVER, "the idempotency key came before, with another request", "use a new key for a new request";
    TooManyWaiting = 610, Overloaded, Gateway, LATER, "too many tasks wait for agents", "come back later; the limit is `limits.waiting`";

    // 07xx: registry
    CardUnreachable = 701, Unavailable, Target, LATER, "the agent's card cannot be fetched", "check the address and that the agent runs";
    CardInvalid = 702, Params, Caller, NEVER, "the agent's card is not valid", "correct the member that the error names";
    EntryConfigured = 703, Forbidden, Caller, NEVER, "the entry comes from the configuration", "change the configuration file instead";
    EntryOwned = 704, Forbidden, Caller, NEVER, "the entry belongs to somebody else", "choose another name";
    NoSuchEntry = 705, NotFound, Caller, NEVER, "there is no such entry", "list them with `moongate agents list`";
    RegistryFull = 706, Overloaded, Gateway, NEVER, "the registry is full", "remove entries, or raise `limits.agents`";

    // 08xx: storage
    StoreUnusable = 801, Internal, Gateway, LATER, "the store cannot be used", "see the log; check the disk and the file's permissions";
    StoreNewer = 802, Internal, Gateway, NEVER, "the store was written by a newer version", "run the version that wrote it, or newer";
    StoreLocked = 803, Internal, Gateway, LATER, "another process uses the store", "stop the other gateway, or give this one a store of its own";
    StoreDamaged = 804, Internal, Gateway, NEVER, "the store's file is damaged, or not a store of Moongate", "the file is left as it is: restore a backup, or choose another path";

    // 085x: the audit log
    AuditUnwritable = 851, Unavailable, Gateway, LATER, "the audit log cannot be written", "see the log; free space on the disk or mend it: a gateway that runs tries again by itself, one that did not start is to be started again";
    AuditDamaged = 852, Internal, Gateway, NEVER, "the audit log does not match what was signed", "nothing is changed: see what `moongate audit verify` says, keep the folder as evidence";
    AuditShortened = 853, Internal, Gateway, NEVER, "the audit log is shorter than what was signed", "put back the newer files; a restored backup must not sign again what it has forgotten";
    AuditLocked = 854, Internal, Gateway, LATER, "another process writes the audit log", "stop the other gateway, or give this one a folder of its own in `audit.dir`";
    AuditKeyUnusable = 855, Internal, Gateway, NEVER, "the key of the audit log cannot be used", "make it readable for this account only, or put the right one back";
    AuditBehind = 856, Overloaded, Gateway, LATER, "the audit log does not keep up", "come back later; the disk is slow, or the load too high for it";
    AuditOff = 857, NotFound, Gateway, NEVER, "there is no audit log", "turn it on with `on = true` in `[audit]`";
    NoSuchEntryLogged = 858, NotFound, Caller, NEVER, "the audit log has no such entry", "look for it with `moongate audit search`";
    WitnessConflict = 859, Internal, Gateway, NEVER, "an audit log has two histories", "keep both logs as they are, and find out who had the key of the log: nobody honest signs two roots, or fewer lines than before";

    // 09xx: ourselves
    Internal = 901, Internal, Gateway, LATER, "something broke inside the gateway", "please report it with the request id";
    Draining = 902, Unavailable, Gateway, LATER, "the gateway is shutting down", "connect again: another node or the restarted one will answer";
    Overloaded = 903, Overloaded, Gateway, LATER, "the gateway is overloaded", "come back later";
}

impl Code {
    /// The code that is printed as `MG-nnnn`.
    pub fn parse(text: &str) -> Option<Self> {
        let number: u16 = text.strip_prefix("MG-")?.parse().ok()?;
        Self::ALL.iter().copied().find(|code| *code as u16 == number)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MG-{:04}", *self as u16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_in_order() {
        let numbers: Vec<u16> = Code::ALL.iter().map(|code| *code as u16).collect();
        assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!(Code::TaskNotFound.to_string(), "MG-0601");
        assert!(Code::ALL.iter().all(|code| Code::parse(&code.to_string()) == Some(*code)));
        assert_eq!(Code::parse("MG-0000"), None);
    }
}
