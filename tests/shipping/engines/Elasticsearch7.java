import org.codelibs.elasticsearch.runner.ElasticsearchClusterRunner;

/** One node of Elasticsearch 7.10 on 127.0.0.1, until the process is told to end. Arguments: HTTP port, folder. */
public final class Elasticsearch7 {
    public static void main(final String[] arguments) throws Exception {
        final ElasticsearchClusterRunner runner = new ElasticsearchClusterRunner();
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
        runner.build(ElasticsearchClusterRunner.newConfigs()
                .basePath(arguments[1])
                .clusterName("obs-middleware-tests")
                .numOfNode(1));
        Thread.currentThread().join();
    }
}
