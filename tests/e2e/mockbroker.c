/* mockbroker: librdkafka's mock cluster as a process of its own, for tests.
 *
 * Prints its bootstrap address, then obeys lines on standard input, each answered by "ok" or
 * "error: TEXT": topic NAME PARTITIONS, down, up. Ends with its input. */
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdio.h>
#include <string.h>

#define BROKER_ID 1
#define LINE_MAX_BYTES 512

static rd_kafka_resp_err_t
obey(rd_kafka_mock_cluster_t *cluster, const char *line)
{
    char topic[250];
    int partitions;

    if (sscanf(line, "topic %249s %d", topic, &partitions) == 2) {
        return rd_kafka_mock_topic_create(cluster, topic, partitions, 1);
    }
    if (strcmp(line, "down") == 0) {
        return rd_kafka_mock_broker_set_down(cluster, BROKER_ID);
    }
    if (strcmp(line, "up") == 0) {
        return rd_kafka_mock_broker_set_up(cluster, BROKER_ID);
    }
    return RD_KAFKA_RESP_ERR__INVALID_ARG;
}

static void
serve(rd_kafka_mock_cluster_t *cluster)
{
    char line[LINE_MAX_BYTES];

    printf("%s\n", rd_kafka_mock_cluster_bootstraps(cluster));
    fflush(stdout);
    while (fgets(line, sizeof(line), stdin)) {
        line[strcspn(line, "\n")] = '\0';
        rd_kafka_resp_err_t failed = obey(cluster, line);
        if (failed) {
            printf("error: %s\n", rd_kafka_err2str(failed));
        } else {
            printf("ok\n");
        }
        fflush(stdout);
    }
}

int
main(void)
{
    char reason[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "log_level", "0", NULL, 0);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof(reason));
    if (!rk) {
        fprintf(stderr, "mockbroker: %s\n", reason);
        return 1;
    }
    rd_kafka_mock_cluster_t *cluster = rd_kafka_mock_cluster_new(rk, 1);
    if (!cluster) {
        fprintf(stderr, "mockbroker: no cluster\n");
        rd_kafka_destroy(rk);
        return 1;
    }
    serve(cluster);
    rd_kafka_mock_cluster_destroy(cluster);
    rd_kafka_destroy(rk);
    return 0;
}
