import org.codelibs.opensearch.runner.OpenSearchRunner;

/** One node of OpenSearch on 127.0.0.1, until the process is told to end. Arguments: the HTTP port, and a folder. */
public final class OpenSearch {
    public static void main(final String[] arguments) throws Exception {
        final OpenSearchRunner runner = new OpenSearchRunner();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            try {
                runner.close();
            } catch (final Exception error) {
                error.printStackTrace();
            }
        }));
        runner.onBuild((number, settings) -> settings
                .put("http.port", arguments[0])
                .put("network.host", "127.0.0.1")
                .put("transport.port", "0")
                .put("discovery.type", "single-node"));
        runner.build(new OpenSearchRunner.Configs()
                .basePath(arguments[1])
                .clusterName("obs-middleware-tests")
                .numOfNode(1));
        Thread.currentThread().join();
    }
}
