import static java.nio.charset.StandardCharsets.UTF_8;
import static java.util.concurrent.TimeUnit.SECONDS;

import com.standardwebhooks.Webhook;
import com.standardwebhooks.exceptions.WebhookVerificationException;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.http.HttpHeaders;
import java.util.HashSet;
import java.util.Set;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ThreadPoolExecutor;

/** Receives deliveries of Callboard: verifies, answers, and works afterwards. */
public final class Receiver {
    private static final int MAX_BODY_BYTES = 1 << 20;

    private final Webhook webhook;

    // A real receiver puts this queue into its database, so that what it answered
    // 204 to survives a crash.
    private final ExecutorService worker =
            new ThreadPoolExecutor(1, 1, 0, SECONDS, new ArrayBlockingQueue<>(1000));

    // A delivery can come twice. A real receiver keeps the ids in a table with a
    // unique key, and writes each in the transaction of the work itself.
    private final Set<String> done = new HashSet<>();

    private Receiver(Webhook webhook) {
        this.webhook = webhook;
    }

    public static void main(String[] arguments) throws Exception {
        var receiver = new Receiver(new Webhook(System.getenv("CALLBOARD_SECRET")));
        int port = Integer.parseInt(System.getenv("PORT"));
        var server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), port), 0);
        server.setExecutor(Executors.newFixedThreadPool(16));
        server.createContext("/", receiver::receive);
        server.start();
        System.out.println("Listening on http://127.0.0.1:" + server.getAddress().getPort());
    }

    private void receive(HttpExchange exchange) throws IOException {
        try (exchange) {
            exchange.sendResponseHeaders(answer(exchange), -1);
        }
    }

    private int answer(HttpExchange exchange) throws IOException {
        byte[] bytes = exchange.getRequestBody().readNBytes(MAX_BODY_BYTES + 1);
        if (bytes.length > MAX_BODY_BYTES) {
            return 413;
        }
        var body = new String(bytes, UTF_8);
        try {
            webhook.verify(body, HttpHeaders.of(exchange.getRequestHeaders(), (name, value) -> true));
        } catch (WebhookVerificationException e) {
            return 401;
        }
        var id = exchange.getRequestHeaders().getFirst("webhook-id");
        try {
            worker.execute(() -> work(id, body));
        } catch (RejectedExecutionException e) {
            return 503; // Callboard comes back later
        }
        return 204;
    }

    private void work(String id, String body) {
        if (done.add(id)) {
            System.out.println(body + " (" + id + ")");
        }
    }
}
