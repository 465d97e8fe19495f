//! The link to signaling: what is said, what is obeyed, and that it comes back.

use axum::{
    Router,
    extract::{
        State, WebSocketUpgrade,
        ws::{Message, WebSocket},
    },
    http::{HeaderMap, header},
    response::Response,
    routing::any,
};
use edge_agent::{config::Config, grant::Keeper, health::Board, link::Link, publish::Wanted, signaling::Signaling};
use protocol::{
    CameraId, Rid,
    agent::{Down, SUBPROTOCOL, StreamState, Up, VERSION},
};
use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    time::timeout,
};

const PATIENCE: Duration = Duration::from_secs(10);
const CAMERA: &str = "0190a1b2-0000-7000-8000-000000000001";

type Sockets = mpsc::UnboundedSender<(String, WebSocket)>;

async fn accept(State(sockets): State<Sockets>, headers: HeaderMap, upgrade: WebSocketUpgrade) -> Response {
    let bearer = headers[header::AUTHORIZATION].to_str().expect("text").to_owned();
    upgrade.protocols([SUBPROTOCOL]).on_upgrade(async move |socket| drop(sockets.send((bearer, socket))))
}

async fn hear(socket: &mut WebSocket) -> Up {
    loop {
        let message = timeout(PATIENCE, socket.recv()).await.expect("in time").expect("open").expect("readable");
        if let Message::Text(text) = message {
            return serde_json::from_str(&text).expect("understood");
        }
    }
}

async fn say(socket: &mut WebSocket, down: &Down) {
    let text = serde_json::to_string(down).expect("JSON");
    socket.send(Message::Text(text.into())).await.expect("sent");
}

struct Setup {
    sockets: mpsc::UnboundedReceiver<(String, WebSocket)>,
    board: Board,
    id: CameraId,
    wanted: watch::Receiver<BTreeMap<CameraId, Wanted>>,
    link: tokio::task::JoinHandle<()>,
}

impl Setup {
    async fn start(grant_file: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (sender, sockets) = mpsc::unbounded_channel();
        let router = Router::new().route("/v1/agent", any(accept)).with_state(sender);
        tokio::spawn(async move { axum::serve(listener, router).await });
        let text = format!(
            "signaling: http://{address}\ngrant_file: {}\ncameras:\n  - {{id: {CAMERA}, name: Gate, main: \
             'synthetic:1280x720', sub: 'synthetic:640x360'}}\n",
            grant_file.display()
        );
        let config = Config::from_yaml(&text).expect("sound");
        let signaling = Signaling::new(&config, Arc::new(Keeper::new(&config))).expect("a client");
        let board = Board::new(&config.cameras);
        let id = config.cameras[0].id;
        let sender = watch::Sender::new(BTreeMap::from([(id, Wanted::default())]));
        let wanted = sender.subscribe();
        let link = Link { signaling, board: board.clone(), wanted: sender };
        Self { sockets, board, id, wanted, link: tokio::spawn(link.run()) }
    }

    /// The agent's next connection, welcomed, and the grant it showed.
    async fn welcome(&mut self) -> (String, WebSocket) {
        let (bearer, mut socket) = timeout(PATIENCE, self.sockets.recv()).await.expect("in time").expect("open");
        let Up::Hello { version, cameras, .. } = hear(&mut socket).await else { panic!("no hello") };
        assert_eq!((version, cameras[0].id, cameras[0].encodings.len()), (VERSION, self.id, 2));
        say(&mut socket, &Down::Welcome { version: VERSION }).await;
        (bearer, socket)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wanted_sets_are_obeyed_and_outlive_the_link() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("grant");
    std::fs::write(&file, "first\n").expect("written");
    let mut setup = Setup::start(&file).await;
    let (bearer, mut socket) = setup.welcome().await;
    assert_eq!(bearer, "Bearer first");
    let wanted = [Rid::low()].into();
    say(&mut socket, &Down::Wanted { camera: setup.id, encodings: vec![Rid::low()], audio: true }).await;
    let id = setup.id;
    timeout(PATIENCE, setup.wanted.wait_for(|all| *all[&id].encodings() == wanted && all[&id].audio()))
        .await
        .expect("in time")
        .expect("open");
    say(&mut socket, &Down::Grant { token: "second".into() }).await;
    drop(socket);
    let (bearer, _socket) = setup.welcome().await;
    assert_eq!(bearer, "Bearer second");
    assert_eq!(std::fs::read_to_string(&file).expect("kept"), "second");
    assert_eq!(*setup.wanted.borrow()[&id].encodings(), wanted);
    setup.link.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_health_goes_up_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("grant");
    std::fs::write(&file, "first").expect("written");
    let mut setup = Setup::start(&file).await;
    let (_, mut socket) = setup.welcome().await;
    let camera = setup.board.camera(setup.id).expect("on the board");
    let stream = camera.stream(&Rid::low()).expect("a sub stream");
    stream.set_state(StreamState::Unauthorized, Some("the camera refuses the user name or password"));
    let reported = async {
        loop {
            if let Up::Health { cameras } = hear(&mut socket).await
                && cameras[0].encodings[1].state == StreamState::Unauthorized
            {
                return cameras;
            }
        }
    };
    // Sooner than the regular report.
    let cameras = timeout(Duration::from_secs(3), reported).await.expect("in time");
    assert!(cameras[0].encodings[1].detail.as_deref().is_some_and(|d| d.contains("password")));
    setup.link.abort();
}
