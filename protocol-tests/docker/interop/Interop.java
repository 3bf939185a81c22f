import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Properties;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.security.token.delegation.DelegationToken;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Java's client, told by lines on standard input what to do by which properties file, so that one JVM does for all of a test.
 *
 * token FILE                 creates a delegation token: prints its id and its HMAC
 * write FILE TOPIC NAME N    writes NAME-0, NAME-1, …
 * read FILE TOPIC N          prints the values of the first N records of partition 0
 *
 * Each ends with a line "done", or with "failed" and the reason.
 */
public final class Interop {
    public static void main(String[] args) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            try {
                run(line.split(" "));
                System.out.println("done");
            } catch (Exception error) {
                System.out.println("failed " + error + " " + error.getCause());
            }
            System.out.flush();
        }
    }

    private static void run(String[] words) throws Exception {
        Properties properties = new Properties();
        try (BufferedReader reader = Files.newBufferedReader(Path.of(words[1]))) {
            properties.load(reader);
        }
        switch (words[0]) {
            case "token" -> token(properties);
            case "write" -> write(properties, words[2], words[3], Integer.parseInt(words[4]));
            case "read" -> read(properties, words[2], Integer.parseInt(words[3]));
            default -> throw new IllegalArgumentException(words[0]);
        }
    }

    private static void token(Properties properties) throws Exception {
        try (Admin admin = Admin.create(properties)) {
            DelegationToken token = admin.createDelegationToken().delegationToken().get();
            System.out.println(token.tokenInfo().tokenId());
            System.out.println(token.hmacAsBase64String());
        }
    }

    private static void write(Properties properties, String topic, String name, int count) throws Exception {
        StringSerializer text = new StringSerializer();
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(properties, text, text)) {
            for (int number = 0; number < count; number++) {
                producer.send(new ProducerRecord<>(topic, 0, null, name + "-" + number)).get();
            }
        }
    }

    private static void read(Properties properties, String topic, int count) {
        StringDeserializer text = new StringDeserializer();
        try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(properties, text, text)) {
            List<TopicPartition> partitions = List.of(new TopicPartition(topic, 0));
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            long end = System.nanoTime() + Duration.ofSeconds(30).toNanos();
            for (int read = 0; read < count;) {
                if (System.nanoTime() > end) {
                    throw new IllegalStateException("only " + read + " records in 30 s");
                }
                for (var record : consumer.poll(Duration.ofSeconds(1))) {
                    System.out.println(record.value());
                    read++;
                }
            }
        }
    }
}
